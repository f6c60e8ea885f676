"""`archcast explain`: why a forecast is what it is, and which edit would help most."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidDataError
from .inputs import ArchitectureFile, JsonOption, SeedOption, read_architectures
from .model import Direction, headline
from .outputs import print_json, print_table, require_writable
from .progress import working

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...explanations import Attribution, Edits, GeneEffects
    from ...predictors import Predictor
    from ...spaces import Architectures

_PICTURES = (".png", ".pdf", ".svg")


class By(StrEnum):
    """Who shares a forecast."""

    COLUMNS = "columns"
    GROUPS = "groups"
    GENES = "genes"


def explain(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] ARCHITECTURE...",
            help="A file written by `archcast fit` (none with --table), and architectures; '-' reads standard input.",
        ),
    ] = None,
    file: ArchitectureFile = None,
    table: Annotated[
        str | None, typer.Option("--table", "-t", help="Fit to a table in place of a saved model: its name or path.")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="The metric of --table.")] = None,
    epoch: Annotated[int | None, typer.Option(help="The epoch of the metric; the last if left out.")] = None,
    predictor: Annotated[
        str, typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]] to fit to --table.")
    ] = "gp@semantic",
    n: Annotated[int, typer.Option("--n", "-n", min=2, help="Training architectures of --table.")] = 156,
    by: Annotated[
        By, typer.Option(help="Who shares a forecast: columns, whole groups of them, or genes.")
    ] = By.COLUMNS,
    top: Annotated[int, typer.Option(min=1, help="How many contributions and edits are shown.")] = 10,
    background: Annotated[
        int, typer.Option(min=1, help="Random architectures that the given ones are compared with.")
    ] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="More of them make sampled contributions more precise.")] = 1,
    direction: Annotated[
        Direction | None, typer.Option(help="Which forecasts are better, where the model does not know its metric.")
    ] = None,
    seed: SeedOption = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw into this .png, .pdf or .svg file.", dir_okay=False)] = None,
    json: JsonOption = False,
) -> None:
    """Explain forecasts: contributions of features, what each gene is worth, and the edits that would help most.

    Contributions add up to the forecast minus the base value, what is forecast of random architectures. Without an
    architecture the model is explained: mean forecasts by gene and choice, and lengthscales where it has any.

    Examples:

        archcast explain forecaster.archcast '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'

        archcast explain forecaster.archcast --plot dependence.png

        archcast explain --table nasbench201 --metric cifar10/test_accuracy --epoch 200 -p xgboost --n 400 -f mine.txt
    """
    given = list(arguments or [])
    if plot is not None:
        _require_picture(plot)
    if table is None and not given:
        raise InvalidDataError("expected a model written by `archcast fit`, or --table; got neither")
    surrogate = _load(Path(given.pop(0))) if table is None else _fit(table, metric, epoch, predictor, n, seed)
    space = surrogate.space_
    if space is None:
        raise InvalidDataError("the model was fitted on a feature matrix, and cannot explain architectures")
    if not given and file is None:
        _explain_model(surrogate, seed, plot, json)
        return
    batch = read_architectures(space, given, file)
    if plot is not None and len(batch) != 1:
        raise InvalidDataError(f"--plot draws one architecture, got {len(batch)}")
    better = None if direction is None else direction.value
    with working(f"explaining {len(batch):,} forecasts"):
        found = _Explanations.of(surrogate, batch, by, background, rounds, seed, top, better)
    if plot is not None:
        _save(found.picture(top), plot)
    if json:
        print_json({"model": surrogate.metadata_, "architectures": found.records(top)})
    else:
        found.show(top)


class _Explanations:
    """All that is said of some architectures."""

    def __init__(
        self,
        surrogate: Predictor,
        batch: Architectures,
        attribution: Attribution,
        parts: list[tuple[GeneEffects, Edits]],
    ) -> None:
        self.surrogate, self.batch, self.attribution, self.parts = surrogate, batch, attribution, parts
        self.std = surrogate.predict(batch, return_std=True)[1]

    @classmethod
    def of(
        cls,
        surrogate: Predictor,
        batch: Architectures,
        by: By,
        background: int,
        rounds: int,
        seed: int,
        top: int,
        direction: str | None,
    ) -> _Explanations:
        from ...explanations import attribute, best_edits, gene_effects, random_background

        others = random_background(batch.space, seed, background)
        attribution = attribute(surrogate, batch, others, by=by.value, rounds=rounds, seed=seed)
        parts = [(gene_effects(surrogate, one), best_edits(surrogate, one, top, direction=direction)) for one in batch]
        return cls(surrogate, batch, attribution, parts)

    def records(self, top: int) -> list[dict[str, Any]]:
        """Return what JSON shows."""
        texts = self.batch.strings()
        return [
            {
                "architecture": texts[row],
                "forecast": self.attribution.forecast[row],
                "std": self.std[row],
                "base": self.attribution.base,
                "method": self.attribution.method,
                "contributions": self.attribution.top(row, top),
                "groups": self.attribution.top_groups(row),
                "genes": effects.records(),
                "edits": edits.records(),
            }
            for row, (effects, edits) in enumerate(self.parts)
        ]

    def picture(self, top: int) -> Figure:
        """Return the picture of the first architecture."""
        from ...explanations.plots import plot_explanation

        effects, edits = self.parts[0]
        return plot_explanation(self.attribution, effects, edits, n=top, unit=_unit(self.surrogate))

    def show(self, top: int) -> None:
        """Print for people."""
        if "metric" in self.surrogate.metadata_:
            print(headline(self.surrogate.metadata_))
        for record, (effects, _) in zip(self.records(top), self.parts, strict=True):
            print()
            _print_shaded(effects)
            print(
                f"forecast {record['forecast']:.6g} (deviation {record['std']:.3g}), "
                f"{record['forecast'] - record['base']:+.3g} beside the base value {record['base']:.6g}"
            )
            method = "" if record["method"] == "exact" else ", sampled, with standard errors"
            _section(f"largest contributions of {self.attribution.by}{method}", record["contributions"])
            if self.attribution.by == "columns":
                _section("contributions of groups", record["groups"][:top])
            _section("what each gene is worth beside its alternatives", record["genes"])
            _section("best edits", [_without(edit, "architecture") for edit in record["edits"]])


def _section(title: str, records: list[dict[str, Any]]) -> None:
    print(f"\n{title}:")
    print_table(records)


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}


def _print_shaded(effects: GeneEffects) -> None:
    """Print the native notation; on a terminal in green what adds to the forecast, and in red what takes from it."""
    import numpy as np
    from rich.console import Console
    from rich.text import Text

    from ...explanations import native_spans

    plain = effects.architecture.strings()[0]
    if not sys.stdout.isatty():
        print(plain)
        return
    text = Text(plain)
    strong = 0.25 * float(np.nanmax(np.abs(effects.effect), initial=0.0))
    for span, effect in zip(native_spans(effects.architecture), effects.effect.tolist(), strict=True):
        if span is not None and abs(effect) > 0:  # not so where it is NaN
            text.stylize(("bold " if abs(effect) >= strong else "") + ("green" if effect > 0 else "red"), *span)
    Console().print(text)


def _explain_model(surrogate: Predictor, seed: int, plot: Path | None, json: bool) -> None:
    from ...explanations import partial_dependence, relevance
    from ...explanations.plots import plot_partial_dependence

    with working("forecasting the space"):
        dependence = partial_dependence(surrogate, seed=seed)
    try:
        scales = relevance(surrogate)
    except InvalidDataError:
        scales = []
    if plot is not None:
        _save(plot_partial_dependence(dependence, unit=_unit(surrogate)), plot)
    if json:
        print_json(
            {
                "model": surrogate.metadata_,
                "overall": dependence.overall,
                "partial_dependence": dependence.records(),
                "relevance": scales,
            }
        )
        return
    if "metric" in surrogate.metadata_:
        print(headline(surrogate.metadata_))
    print(f"mean forecast {dependence.overall:.6g}")
    _section("mean forecasts by gene and choice", dependence.records())
    if scales:
        _section("lengthscales, the most relevant first", scales)


def _load(path: Path) -> Predictor:
    from ...predictors import load_predictor

    return load_predictor(path)


def _fit(table: str, metric: str | None, epoch: int | None, predictor: str, n: int, seed: int) -> Predictor:
    import numpy as np

    from ...benchmarks_data import load_table
    from ...predictors import make_predictor

    if metric is None:
        raise InvalidDataError("expected --metric with --table, to say what is forecast")
    surrogate = make_predictor(predictor, seed=seed)
    source = load_table(table)
    values = source.values(metric, epoch=epoch)
    described = source.metrics[metric]
    rows, _ = source.split(n, seed, among=np.flatnonzero(np.isfinite(values)))
    with working(f"fitting {predictor} to {n:,} architectures"):
        surrogate.fit(source.architectures[rows], values[rows])
    at = epoch if epoch is not None else described.epochs[-1] if len(described.epochs) else None
    surrogate.metadata_ = {
        "table": source.name,
        "metric": metric,
        "epoch": None if at is None else int(at),
        "unit": described.unit,
        "direction": described.direction,
    }
    return surrogate


def _unit(surrogate: Predictor) -> str:
    return str(surrogate.metadata_.get("unit") or "")


def _require_picture(path: Path) -> None:
    if path.suffix not in _PICTURES:
        raise InvalidDataError(f"expected a picture ending in {', '.join(_PICTURES)}, got {path.name!r}")
    require_writable(path)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        raise ArchcastError(f"cannot write {path}: {error.strerror or error}") from None
    print(path, file=sys.stderr)
