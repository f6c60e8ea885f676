"""`archcast space`: look at search spaces and their architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import InvalidArchitectureError
from ...files import write_whole
from .inputs import (
    ArchitectureArguments,
    ArchitectureFile,
    JsonOption,
    SeedOption,
    get_space,
    read_architectures,
)
from .outputs import Format, print_json, print_records, require_suffix, require_writable

app = typer.Typer(help="Show a search space, sample, draw and validate its architectures.", no_args_is_help=True)

SpaceArgument = Annotated[str, typer.Argument(metavar="SPACE", help="A registered search space, or a JSON space spec.")]


@app.command()
def show(space: SpaceArgument, json: JsonOption = False) -> None:
    """Show the size and the genes of a space, and one architecture in its native notation.

    Example:

        archcast space show nasbench201
    """
    chosen = get_space(space)
    genes = [{"gene": gene.name, "choices": list(gene.choices), "ordered": gene.ordered} for gene in chosen.genes]
    example = chosen.sample(1, seed=0).strings()[0]
    if json:
        print_json({**chosen.spec, "size": chosen.size, "genes": genes, "example": example})
        return
    print(f"{chosen.name}: {'unknown number of' if chosen.size is None else f'{chosen.size:,}'} architectures")
    print(f"for example {example}")
    print_records(genes, Format.table)


@app.command()
def sample(
    space: SpaceArgument,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 1,
    seed: SeedOption = 0,
    canonical: Annotated[bool, typer.Option(help="No isomorphic twins among them.")] = False,
    json: JsonOption = False,
) -> None:
    """Print random architectures, one a line, without repetition.

    Example:

        archcast space sample nasbench201 --n 5 --seed 1 --canonical
    """
    strings = get_space(space).sample(n, seed, canonical=canonical).strings()
    if json:
        print_json(strings)
    else:
        print("\n".join(strings))


@app.command()
def design(
    space: SpaceArgument,
    file: ArchitectureFile = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 10,
    design: Annotated[str, typer.Option(help="design[@encoder[+encoder...]]; see `archcast list designs`.")] = "random",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Print the architectures to train first, one a line: canonically distinct, and chosen without any outcome.

    With --file they are chosen among those of the file.

    Examples:

        archcast space design nasbench201 --n 50 --design kmeans --seed 0

        archcast space design nasbench201 --n 20 --design variance | archcast train - --space nasbench201 --task mnist1d
    """
    from ...designs import make_design

    chosen, chooser = get_space(space), make_design(design)
    among = chosen if file is None else read_architectures(chosen, None, file)
    strings = chooser.choose(among, n, seed).strings()
    if json:
        print_json(strings)
    else:
        print("\n".join(strings))


@app.command()
def validate(
    space: SpaceArgument,
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    json: JsonOption = False,
) -> None:
    """Check architectures; exit status 2 and one sentence for the first that is not of the space.

    With --json: the genotype, native notation and canonical key of each.

    Example:

        archcast space validate nasbench201 '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
    """
    batch = read_architectures(get_space(space), architectures, file)
    if json:
        print_json(
            [
                {"architecture": text, "genotype": genotype, "canonical": f"{key:016x}"}
                for text, genotype, key in zip(
                    batch.strings(), batch.genotypes.tolist(), batch.keys().tolist(), strict=True
                )
            ]
        )
    else:
        print(f"{len(batch)} valid")


@app.command()
def draw(
    space: SpaceArgument,
    architecture: Annotated[str, typer.Argument(help="One architecture in the native notation of the space.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .png, .svg, .pdf or .dot file; Graphviz source is printed if left out."),
    ] = None,
) -> None:
    """Draw an architecture, or print it as Graphviz source.

    Example:

        archcast space draw nats_size 8:16:24:64:40 --output chain.png
    """
    from ...spaces.drawing import draw as draw_architecture
    from ...spaces.drawing import to_dot

    suffix = require_suffix(output, (".png", ".svg", ".pdf", ".dot")) if output else None
    if output:
        require_writable(output)
    batch = read_architectures(get_space(space), [architecture], None)
    if len(batch) != 1:
        raise InvalidArchitectureError(f"expected one architecture to draw, got {len(batch)}")
    if output is None:
        print(to_dot(batch[0]))
    elif suffix == ".dot":
        write_whole(output, to_dot(batch[0]).encode())
    else:
        from io import BytesIO

        import matplotlib

        matplotlib.use("Agg")
        axes = draw_architecture(batch[0])
        picture = BytesIO()
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.savefig(picture, format=output.suffix[1:], bbox_inches="tight", dpi=150)
        write_whole(output, picture.getvalue())
        print(output)
