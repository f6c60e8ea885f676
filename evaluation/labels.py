"""What measures are called in tables and plots."""

from __future__ import annotations

_LABELS = {
    "kendall_tau": "Kendall tau",
    "sparse_kendall_tau": "sparse Kendall tau",
    "spearman": "Spearman rho",
    "pearson": "Pearson r",
    "r2": "R²",
    "coverage_50": "coverage of 50 % intervals",
    "coverage_80": "coverage of 80 % intervals",
    "coverage_90": "coverage of 90 % intervals",
    "coverage_95": "coverage of 95 % intervals",
    "nll": "negative log likelihood (nats)",
    "calibration_error": "calibration error",
    "fit_seconds": "fit time (s, one thread)",
    "predict_seconds": "prediction time (s, one thread)",
    "leaked": "test architectures with a twin in training",
}
_IN_UNITS = {
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "crps": "CRPS",
    "sharpness": "sharpness",
    "interval_width_90": "width of 90 % intervals",
}
_AT_K = {"precision": "precision@{k}", "regret": "regret@{k}", "n": "true rank of the best in top {k}"}


def measure_label(measure: str, unit: str = "") -> str:
    """Return the readable name of a measure, with the unit of the metric where the measure is in it."""
    suffix = f" ({unit_name(unit)})" if unit else ""
    if measure in _LABELS:
        return _LABELS[measure]
    if measure in _IN_UNITS:
        return _IN_UNITS[measure] + suffix
    kind, at, k = measure.rpartition("_at_")
    if at and kind in _AT_K:
        return _AT_K[kind].format(k=k) + (suffix if kind == "regret" else "")
    return measure.replace("_", " ")


def unit_name(unit: str) -> str:
    """Return the unit as people read it next to a number."""
    return {"%": "% points"}.get(unit, unit)


def amount(value: float, unit: str) -> str:
    """Return a number with its unit as people read it; a fraction needs none."""
    name = "" if unit == "fraction" else unit_name(unit)
    return f"{value:g} {name}".rstrip()
