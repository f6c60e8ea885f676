"""Which change of an architecture would help most, and what each of its genes is worth beside its alternatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..errors import InvalidDataError
from ..predictors import Predictor
from ..predictors.checks import check_choice, check_integer
from ..spaces import Architecture, Architectures
from .sampling import Floats
from .words import choice_text, gene_title, one_of

DIRECTIONS = ("higher", "lower")
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, repr=False)
class Edits:
    """Edits of one architecture, with what is forecast to come of them.

    Parameters
    ----------
    origin : Architectures, `(1,)`
    architectures : Architectures, `(k,)`
        The edited ones.
    forecast : float
        Of the origin.
    forecasts : float64 array `(k,)`
    gain : float64 array `(k,)`
        The forecast improvement: positive where the edited one is better, whatever the direction of the metric.
    deviation : float64 array `(k,)`
        Standard deviation of the improvement, of a training of each of the two.
    probability : float64 array `(k,)`
        That a training of the edited one gives a better value than one of the origin.
    """

    origin: Architectures
    architectures: Architectures
    forecast: float
    forecasts: Floats
    gain: Floats
    deviation: Floats
    probability: Floats

    def __len__(self) -> int:
        return len(self.architectures)

    def __repr__(self) -> str:
        return f"<{len(self)} edits of {self.origin[0]}>"

    def __getitem__(self, rows: slice | NDArray[Any]) -> Edits:
        return Edits(
            self.origin,
            self.architectures[rows],
            self.forecast,
            self.forecasts[rows],
            self.gain[rows],
            self.deviation[rows],
            self.probability[rows],
        )

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which genes each edit changes, `(k, d)`."""
        different: NDArray[np.bool_] = self.architectures.genotypes != self.origin.genotypes
        return different

    def words(self) -> list[str]:
        """Return each edit in words, e.g. `"edge 0->1: skip_connect -> nor_conv_3x3"`."""
        genes, before = self.origin.space.genes, self.origin.genotypes[0].tolist()
        return [
            ", ".join(
                f"{gene_title(gene.name)}: {choice_text(gene, old)} -> {choice_text(gene, new)}"
                for gene, old, new in zip(genes, before, after, strict=True)
                if old != new
            )
            for after in self.architectures.genotypes.tolist()
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return one record an edit, in their order."""
        columns = zip(
            self.words(),
            self.forecasts.tolist(),
            self.gain.tolist(),
            self.deviation.tolist(),
            self.probability.tolist(),
            self.architectures.strings(),
            strict=True,
        )
        keys = ("edit", "forecast", "gain", "deviation", "probability", "architecture")
        return [dict(zip(keys, values, strict=True)) for values in columns]


def all_edits(
    predictor: Predictor, architecture: Architecture | Architectures, *, direction: str | None = None
) -> Edits:
    """Return all edits of an architecture: its neighbours, in the order of the space, forecast in one batch.

    Neighbours that are the same architecture in other words (twins) are left out. Parameters, deviations and errors
    are those of `best_edits`.
    """
    batch = one_of(architecture)
    better = direction_of(predictor, direction)
    near, _ = batch.space.neighbors(batch)
    near = near[near.keys() != batch.keys()[0]]
    both = Architectures.concatenate([batch, near])
    mean, std = (np.asarray(part) for part in predictor.predict(both, return_std=True))
    if mean.ndim != 1:
        raise InvalidDataError(f"edits improve one target, the predictor forecasts {mean.shape[1]}")
    sign = 1.0 if better == "higher" else -1.0
    deviation, probability = _jointly(predictor, both, mean, sign) or _independently(mean, std, sign)
    return Edits(batch, near, float(mean[0]), mean[1:], sign * (mean[1:] - mean[0]), deviation, probability)


def best_edits(
    predictor: Predictor,
    architecture: Architecture | Architectures,
    n: int | None = 10,
    *,
    direction: str | None = None,
    exclude: Architectures | None = None,
) -> Edits:
    """Return the edits of an architecture that are forecast to help most, the best first.

    All neighbours are forecast in one batch. The errors of two forecasts of similar architectures hang together: a
    Gaussian process knows how, and its joint covariance goes into deviation and probability. All other predictors
    count as if the errors were independent, which overstates the deviation. Both include the noise of a training of
    either architecture.

    Parameters
    ----------
    predictor : Predictor
        Fitted, with one target.
    architecture : Architecture, or Architectures of length 1
    n : int, optional
        How many at most; None for all.
    direction : {"higher", "lower"}, optional
        Which values are better; by default what the predictor's `metadata_` says, else higher.
    exclude : Architectures, optional
        Edits that lead to one of these, or to a twin of one, are left out: those that were trained already, say.

    Raises
    ------
    InvalidDataError
        If there is not exactly one architecture, the predictor has several targets, or the direction contradicts its
        metadata.
    """
    if n is not None:
        check_integer("n", n, 1)
    found = all_edits(predictor, architecture, direction=direction)
    if exclude is not None and len(exclude):
        found = found[~np.isin(found.architectures.keys(), found.origin.space.architectures(exclude).keys())]
    return found[np.argsort(-found.gain, kind="stable")[:n]]


def direction_of(predictor: Predictor, direction: str | None) -> str:
    """Return which values are better, `"higher"` or `"lower"`.

    Raises
    ------
    InvalidDataError
        If it is neither, or contradicts what the predictor knows.
    """
    known = getattr(predictor, "metadata_", {}).get("direction")
    if direction is None:
        return str(known or "higher")
    check_choice("direction", direction, DIRECTIONS)
    if known is not None and known != direction:
        raise InvalidDataError(f"the predictor knows that {known} values are better, got direction {direction!r}")
    return direction


def _independently(mean: Floats, std: Floats, sign: float) -> tuple[Floats, Floats]:
    """Return deviation and probability of the improvement over the first by each of the others, as if independent."""
    deviation = np.hypot(std[0], std[1:])
    return deviation, ndtr(sign * (mean[1:] - mean[0]) / np.maximum(deviation, 1e-300))


def _jointly(predictor: Predictor, batch: Architectures, forecast: Floats, sign: float) -> tuple[Floats, Floats] | None:
    """Return the same from the joint covariance, None where there is none that belongs to the forecast."""
    joint = getattr(predictor, "_predict_joint", None)  # anything that forecasts may be asked for edits
    found = None if joint is None else joint(predictor.features(batch))
    if found is None:
        return None
    mean, covariance = found
    inverse = predictor._targets.columns[0].inverse
    if not np.allclose(inverse(mean), forecast, rtol=1e-6, atol=1e-9):
        return None
    std = np.sqrt(np.diag(covariance))
    apart = np.sqrt(np.maximum(std[0] ** 2 + std[1:] ** 2 - 2 * covariance[0, 1:], 1e-300))
    probability = ndtr(sign * (mean[1:] - mean[0]) / apart)
    # z_0 = m_0 + s_0 u and z_i = m_i + s_i (r u + sqrt(1 - r^2) v) with standard normal u and v, on a grid of both
    correlation = np.clip(covariance[0, 1:] / (std[0] * std[1:]), -1.0, 1.0)[:, None, None]
    u, v = _NODES[:, None], _NODES[None, :]
    other = mean[1:, None, None] + std[1:, None, None] * (correlation * u + np.sqrt(1 - correlation**2) * v)
    change = inverse(other) - inverse(mean[0] + std[0] * u)[None] - (forecast[1:] - forecast[0])[:, None, None]
    weights = _WEIGHTS[:, None] * _WEIGHTS[None, :]
    return np.sqrt((change**2 * weights).sum(axis=(1, 2))), probability


@dataclass(frozen=True, repr=False)
class GeneEffects:
    """What each gene of one architecture is worth beside its alternatives.

    Parameters
    ----------
    architecture : Architectures, `(1,)`
    forecast : float
    effect : float64 array `(d,)`
        Forecast of the architecture minus the mean forecast with this gene replaced by each of the others, in the units
        of the metric; NaN for a gene that nothing can replace.
    lowest, highest : float64 arrays `(d,)`
        The lowest and the highest forecast with the gene replaced.
    alternatives : int array `(d,)`
        How many replacements there are.
    """

    architecture: Architectures
    forecast: float
    effect: Floats
    lowest: Floats
    highest: Floats
    alternatives: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<GeneEffects of {self.architecture[0]}>"

    @property
    def names(self) -> list[str]:
        """The genes with their choices, e.g. `"edge 0->1: skip_connect"`."""
        genes = zip(self.architecture.space.genes, self.architecture.genotypes[0].tolist(), strict=True)
        return [f"{gene_title(gene.name)}: {choice_text(gene, value)}" for gene, value in genes]

    def records(self) -> list[dict[str, Any]]:
        """Return one record a gene, in the order of the genotype."""
        columns = zip(
            self.names,
            self.effect.tolist(),
            self.lowest.tolist(),
            self.highest.tolist(),
            self.alternatives.tolist(),
            strict=True,
        )
        keys = ("gene", "effect", "lowest", "highest", "alternatives")
        return [dict(zip(keys, values, strict=True)) for values in columns]


def gene_effects(predictor: Predictor, architecture: Architecture | Architectures) -> GeneEffects:
    """Return what each gene is worth: how the forecast changes if it is replaced by each of its alternatives.

    Replacements are the valid architectures that differ in this gene alone; twins of the architecture, which it makes
    no difference to choose, count as well.

    Raises
    ------
    InvalidDataError
        If there is not exactly one architecture, or the predictor has several targets.
    """
    batch = one_of(architecture)
    near, _ = batch.space.neighbors(batch)
    changed = near.genotypes != batch.genotypes
    alone = changed.sum(axis=1) == 1
    near, changed = near[alone], changed[alone]
    values = np.asarray(predictor.predict(Architectures.concatenate([batch, near])))
    if values.ndim != 1:
        raise InvalidDataError(f"effects are those on one target, the predictor forecasts {values.shape[1]}")
    own, others = float(values[0]), np.where(changed, values[1:, None], np.nan)
    counts = changed.sum(axis=0)
    total = np.nansum(others, axis=0)
    mean = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    lowest = np.where(counts > 0, np.fmin.reduce(others, axis=0, initial=np.inf), np.nan)
    highest = np.where(counts > 0, np.fmax.reduce(others, axis=0, initial=-np.inf), np.nan)
    return GeneEffects(batch, own, own - mean, lowest, highest, counts)
