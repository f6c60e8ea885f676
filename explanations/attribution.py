"""What each feature, group of features or gene of an architecture adds to its forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..encoders.base import as_batch
from ..errors import InvalidDataError
from ..predictors import Predictor
from ..predictors.checks import check_choice, check_integer
from ..predictors.info import Info
from ..spaces import Architecture, Architectures, SearchSpace
from .sampling import Floats, sampled_contributions
from .words import choice_text, feature_text, gene_title

BACKGROUND = 100
"""So many random architectures are the background if none is given."""

By = Literal["columns", "groups", "genes"]
Method = Literal["auto", "exact", "sampling"]


@dataclass(frozen=True, repr=False)
class Attribution:
    """Contributions to forecasts: each row adds up to the forecast minus the base value.

    Parameters
    ----------
    names, groups : tuple of str, `p`
        What contributes (columns, groups of columns, or genes), and the group that each belongs to.
    texts : tuple of tuple of str, `n` times `p`
        What each is in each architecture, in words.
    values : float64 array `(n, p)`
        The contributions, in the units of the forecast.
    errors : float64 array `(n, p)`
        Their standard errors; 0 where they are exact.
    group_names : tuple of str, `g`
    group_values, group_errors : float64 arrays `(n, g)`
        Sums over the groups, with their standard errors.
    forecast : float64 array `(n,)`
    base : float
        What is forecast without knowing anything: for sampled contributions the mean forecast of the background, for
        exact ones the image, in the units of the forecast, of the mean on the scale of the transformed targets.
    by, method : str
        What contributes, and how it was found: `"exact"` or `"sampling"`.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    values: Floats
    errors: Floats
    group_names: tuple[str, ...]
    group_values: Floats
    group_errors: Floats
    forecast: Floats
    base: float
    by: str
    method: str

    def __len__(self) -> int:
        return len(self.forecast)

    def __repr__(self) -> str:
        return f"<Attribution of {len(self)} forecasts to {len(self.names)} {self.by}, {self.method}>"

    def top(self, row: int = 0, n: int | None = 10) -> list[dict[str, Any]]:
        """Return the largest contributions to one forecast as records, the largest (in size) first."""
        order = np.argsort(-np.abs(self.values[row]), kind="stable")[:n]
        return [
            {
                "feature": self.texts[row][i],
                "group": self.groups[i],
                "contribution": float(self.values[row, i]),
                "error": float(self.errors[row, i]),
            }
            for i in order
            if self.values[row, i] != 0
        ]

    def top_groups(self, row: int = 0, n: int | None = None) -> list[dict[str, Any]]:
        """Return the contributions of the groups to one forecast as records, the largest (in size) first."""
        order = np.argsort(-np.abs(self.group_values[row]), kind="stable")[:n]
        return [
            {
                "group": self.group_names[i],
                "contribution": float(self.group_values[row, i]),
                "error": float(self.group_errors[row, i]),
            }
            for i in order
        ]

    def words(self, row: int = 0, n: int = 5) -> list[str]:
        """Return the largest contributions to one forecast in words."""
        return [f"{record['feature']}: {record['contribution']:+.3g}" for record in self.top(row, n)]


def attribute(
    predictor: Predictor,
    architectures: Architectures | Architecture | ArrayLike,
    background: Architectures | ArrayLike | None = None,
    *,
    by: By = "columns",
    method: Method = "auto",
    rounds: int = 1,
    seed: int = 0,
    info: Info | None = None,
    background_info: Info | None = None,
) -> Attribution:
    """Return what each feature of architectures adds to their forecasts, compared with a background.

    Contributions are Shapley values: they add up to the forecast minus the base value, in the units of the forecast.

    Trees and linear models have them exactly, on the scale on which the surrogate was fitted, where they add up. From
    there the forecast is one monotone function of the sum; its change from the base value is shared in the proportion
    of the contributions, which is the Aumann-Shapley share along the straight line. For all other predictors, and for
    groups and genes, they are sampled in the units of the forecast, with a standard error. That error takes the
    background for a random sample of all there is; for the given background it is an upper bound.

    Parameters
    ----------
    predictor : Predictor
        Fitted, with one target.
    architectures : Architectures, Architecture, or feature matrix `(n, d)`
        As for `predict`.
    background : as architectures, optional
        What they are compared with; by default 100 random architectures of the space.
    by : {"columns", "groups", "genes"}
        Who shares the forecast: the columns of the encoding (their groups get the sums), whole groups of columns, or
        the genes of the architecture. Genes need no encoding: hybrids of architectures are forecast, which are valid
        architectures, whereas hybrids of features need not belong to any. Any object that has `predict` will do.
    method : {"auto", "exact", "sampling"}
        `"auto"` is exact where it can be.
    rounds : int
        How often sampling uses each architecture of the background.
    seed : int
        Of the sampling and of the default background.
    info, background_info : mapping of str to array, optional
        The extras, if the predictor was fitted with any.

    Raises
    ------
    InvalidDataError
        If the predictor has several targets, was fitted on a matrix and there is no background, cannot be attributed
        exactly where that is asked for, or forecasts other than by its columns (then its genes can be asked).

    Examples
    --------
    >>> import archcast as ac
    >>> table = ac.load_table("nasbench201")
    >>> y = table.values("cifar10/test_accuracy", epoch=200)
    >>> forecaster = ac.make_predictor("ridge").fit(table.architectures[:100], y[:100])
    >>> found = attribute(forecaster, table.architectures[200:201])
    >>> bool(abs(found.values.sum() + found.base - found.forecast[0]) < 1e-9)
    True
    """
    check_choice("by", by, ("columns", "groups", "genes"))
    check_choice("method", method, ("auto", "exact", "sampling"))
    check_integer("rounds", rounds, 1)
    check_integer("seed", seed, 0)
    if method == "exact" and by != "columns":
        raise InvalidDataError(f"exact contributions are those of columns, got by={by!r}")
    if isinstance(architectures, Architecture):
        architectures = architectures.batch()
    if by == "genes":
        return _by_genes(predictor, as_batch(architectures), background, rounds, seed, info, background_info)  # type: ignore[arg-type]
    forecast = np.asarray(predictor.predict(architectures, info=info))
    if forecast.ndim != 1:
        raise InvalidDataError(f"contributions are those to one target, got {forecast.shape[1]}")
    if background is None:
        if predictor.space_ is None:
            raise InvalidDataError("expected a background, since the predictor was fitted on a feature matrix")
        background = random_background(predictor.space_, seed)
    rows = predictor.features(architectures, info=info)
    others = _nonempty(predictor.features(background, info=background_info))
    if not np.allclose(predictor.predict_features(rows), forecast, rtol=1e-5, atol=1e-6):
        raise InvalidDataError(
            f"{type(predictor).__name__} forecasts by more than its columns; by='genes' attributes its forecasts"
        )
    columns = predictor.columns_
    group_names, group_of = _distinct(columns.groups)
    texts = [feature_text(columns.names, columns.indicator, row) for row in rows]
    found = None if by == "groups" or method == "sampling" else predictor._contributions(rows, others)
    if found is not None:
        values, base = _in_units(predictor, *found, forecast)
        sums = values @ (group_of[:, None] == np.arange(len(group_names)))
        return Attribution(
            columns.names,
            columns.groups,
            tuple(texts),
            values,
            np.zeros_like(values),
            group_names,
            sums,
            np.zeros_like(sums),
            forecast,
            base,
            by,
            "exact",
        )
    if method == "exact":
        raise InvalidDataError(f"{type(predictor).__name__} has no exact contributions, only sampled ones")
    return _sampled(
        predictor.predict_features,
        rows,
        others,
        (columns.names, columns.groups, texts) if by == "columns" else (group_names, group_names, None),
        np.arange(len(columns)) if by == "columns" else group_of,
        forecast,
        by,
        rounds,
        seed,
    )


def random_background(space: SearchSpace, seed: int, n: int = BACKGROUND) -> Architectures:
    """Return random architectures of a space, fewer where it has no more."""
    return space.sample(n if space.size is None else min(n, space.size), seed=seed)


def gene_attribution(
    forecast: Callable[[Architectures], Floats],
    architectures: Architectures,
    background: Architectures,
    *,
    rounds: int = 1,
    seed: int = 0,
) -> Attribution:
    """Return what each gene adds to forecasts of any origin: sampled Shapley values of hybrids of architectures.

    Where a hybrid is no valid architecture, the change is credited to the gene that makes it one again.

    Parameters
    ----------
    forecast : callable
        Of a batch of architectures, `(n,)`.
    architectures, background : Architectures
    rounds, seed : int
        See `attribute`.
    """
    space = architectures.space
    if background.space != space:
        raise InvalidDataError(f"expected a background of space {space.name!r}, got {background.space.name!r}")

    def of_rows(genotypes: NDArray[Any]) -> Floats:
        valid = space.is_valid(genotypes)
        values = np.full(len(genotypes), np.nan)
        values[valid] = forecast(Architectures(space, genotypes[valid]))
        return values

    names = tuple(gene_title(gene.name) for gene in space.genes)
    texts = [
        tuple(f"{name}: {choice_text(gene, value)}" for name, gene, value in zip(names, space.genes, row, strict=True))
        for row in architectures.genotypes.tolist()
    ]
    return _sampled(
        of_rows,
        architectures.genotypes,
        _nonempty(background.genotypes),
        (names, names, texts),
        np.arange(space.dimension),
        np.asarray(forecast(architectures)),
        "genes",
        rounds,
        seed,
    )


def _by_genes(
    predictor: Predictor,
    architectures: Architectures,
    background: Any,
    rounds: int,
    seed: int,
    info: Info | None,
    background_info: Info | None,
) -> Attribution:
    if info is not None or background_info is not None:
        raise InvalidDataError("a hybrid of architectures has no info of its own: attribute the columns or groups")

    def forecast(batch: Architectures) -> Floats:
        values = np.asarray(predictor.predict(batch))
        if values.ndim != 1:
            raise InvalidDataError(f"contributions are those to one target, got {values.shape[1]}")
        return values

    others = random_background(architectures.space, seed) if background is None else as_batch(background)
    return gene_attribution(forecast, architectures, others, rounds=rounds, seed=seed)


def _sampled(
    of_rows: Callable[[NDArray[Any]], Floats],
    rows: NDArray[Any],
    others: NDArray[Any],
    named: tuple[tuple[str, ...], tuple[str, ...], Sequence[tuple[str, ...]] | None],
    player_of: NDArray[np.intp],
    forecast: Floats,
    by: str,
    rounds: int,
    seed: int,
) -> Attribution:
    names, groups, texts = named
    group_names, group_of = _distinct(groups)
    membership = (group_of[:, None] == np.arange(len(group_names))).astype(np.float64)
    means, errors = np.zeros((2, len(rows), len(names)))
    sums, sum_errors = np.zeros((2, len(rows), len(group_names)))
    for i, row in enumerate(rows):
        rng = np.random.default_rng([seed, i])
        draws = sampled_contributions(of_rows, row, others, player_of, rounds=rounds, rng=rng)
        means[i], errors[i] = _mean_and_error(draws)
        sums[i], sum_errors[i] = _mean_and_error(draws @ membership)
    return Attribution(
        names,
        groups,
        tuple(texts) if texts is not None else (names,) * len(rows),
        means,
        errors,
        group_names,
        sums,
        sum_errors,
        forecast,
        float(of_rows(others).mean()),
        by,
        "sampling",
    )


def _mean_and_error(draws: Floats) -> tuple[Floats, Floats]:
    spread = draws.std(axis=0, ddof=1) if len(draws) > 1 else np.full(draws.shape[1], np.nan)
    return draws.mean(axis=0), spread / np.sqrt(len(draws))


def _in_units(predictor: Predictor, values: Floats, base: Floats, forecast: Floats) -> tuple[Floats, float]:
    """Return contributions and base value in the units of the forecast, from those on the surrogate's scale."""

    def image(z: Floats) -> Floats:
        return np.asarray(predictor._targets.inverse(z[:, None])[:, 0])

    start = float(image(base)[0])
    totals = values.sum(axis=1)
    step = 1e-4
    slope = (image(base + step) - image(base - step)) / (2 * step)
    apart = np.abs(totals) > step
    factor = np.where(apart, (forecast - start) / np.where(apart, totals, 1.0), slope)
    shared = values * factor[:, None]
    # single precision, and the slope, leave a trace of a difference
    rest = forecast - start - shared.sum(axis=1)
    weight = np.abs(shared)
    total = weight.sum(axis=1, keepdims=True)
    even = np.full_like(shared, 1 / max(shared.shape[1], 1))
    shared += rest[:, None] * np.divide(weight, total, out=even, where=total > 0)
    return shared, start


def _distinct(labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the labels without repetition, in their order, and the number of each one."""
    names = tuple(dict.fromkeys(labels))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[label] for label in labels], dtype=np.intp)


def _nonempty(background: NDArray[Any]) -> NDArray[Any]:
    if not len(background):
        raise InvalidDataError("expected at least 1 architecture in the background, got none")
    return background
