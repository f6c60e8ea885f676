"""`archcast encode`: architectures as features."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InvalidDataError
from ...files import write_whole
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, SpaceOption, get_space, read_architectures
from .outputs import as_csv, print_json, require_suffix, require_writable
from .progress import working


def encode(
    space: SpaceOption,
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    encoder: Annotated[str, typer.Option("--encoder", "-e", help="An encoder, or several joined by '+'.")] = "semantic",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .csv or .npy file; CSV is printed if left out.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Encode the whole space.")] = False,
    json: JsonOption = False,
) -> None:
    """Encode architectures: one row each, named columns.

    An encoder that learns its columns (wl) learns them from the given architectures.

    Examples:

        archcast space sample nasbench201 --n 3 | archcast encode --space nasbench201 --encoder adjacency -

        archcast encode --space nasbench201 --all --encoder semantic --output features.npy
    """
    import numpy as np

    from ...encoders import make_encoder

    suffix = require_suffix(output, (".csv", ".npy")) if output else None
    if output:
        require_writable(output)
    chosen = get_space(space)
    transformer = make_encoder(encoder)
    if every and (architectures or file):
        raise InvalidDataError("expected either --all or architectures, got both")
    batch = chosen.enumerate() if every else read_architectures(chosen, architectures, file)
    with working(f"encoding {len(batch):,} architectures"):
        features = transformer.fit_transform(batch)
    names = list(transformer.get_feature_names_out())
    if output and suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, features, allow_pickle=False)
        write_whole(output, stream.getvalue())
        print(f"{output}: {features.shape[0]} x {features.shape[1]}")
        return
    if json:
        rows = zip(batch.strings(), features.tolist(), strict=True)
        print_json({"columns": names, "rows": [{"architecture": text, "features": row} for text, row in rows]})
        return
    records = [
        {"architecture": text, **dict(zip(names, row, strict=True))}
        for text, row in zip(batch.strings(), features.tolist(), strict=True)
    ]
    content = as_csv(records)
    if output:
        write_whole(output, content.encode())
        print(f"{output}: {features.shape[0]} x {features.shape[1]}")
    else:
        typer.echo(content, nl=False)
