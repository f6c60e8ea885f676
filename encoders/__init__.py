"""Encoders: architectures in, a float32 matrix with named columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from ..spaces import Architectures, SearchSpace
from .base import Columns, Encoder

ENCODERS = Registry(
    "encoder",
    {
        "semantic": Entry(".encoders.semantic:SemanticEncoder", "what is computed, after removing what cannot matter"),
        "adjacency": Entry(".encoders.adjacency:AdjacencyEncoder", "one-hot genotype (adjacency and operations)"),
        "adjacency_categorical": Entry(
            ".encoders.adjacency:AdjacencyEncoder", "genotype as integers", {"variant": "categorical"}
        ),
        "adjacency_continuous": Entry(
            ".encoders.adjacency:AdjacencyEncoder", "genotype scaled to [0, 1]", {"variant": "continuous"}
        ),
        "path": Entry(".encoders.path:PathEncoder", "operation sequences of input-output paths, as indicators"),
        "path_truncated": Entry(
            ".encoders.path:PathEncoder",
            "indicators of the short paths, of at most 3 operations",
            {"length": 3, "longer": "drop"},
        ),
        "path_multiset": Entry(
            ".encoders.path:PathEncoder", "number of input-output paths of each operation sequence", {"counts": True}
        ),
        "operations": Entry(
            ".encoders.statistics:OperationsEncoder", "operation counts, of all and of surviving nodes"
        ),
        "statistics": Entry(
            ".encoders.statistics:StatisticsEncoder", "graph sizes, paths, degrees, operation counts, node features"
        ),
        "graph": Entry(
            ".encoders.graph_tensors:GraphTensorEncoder",
            "the graph itself, as graph networks read it, without dead code",
        ),
        "gnn": Entry(
            ".encoders.gnn:GraphNetworkEncoder",
            "embedding of a graph network that learned from the space, without labels",
        ),
        "wl": Entry(".encoders.weisfeiler_lehman:WeisfeilerLehmanEncoder", "counts of the subtrees seen in training"),
        "wl_hashed": Entry(
            ".encoders.weisfeiler_lehman:HashedWeisfeilerLehmanEncoder", "counts of subtrees, hashed into fixed columns"
        ),
        "shortest_path": Entry(
            ".encoders.label_pairs:ShortestPathEncoder", "counts of pairs of labels by the distance between them"
        ),
        "random_walk": Entry(
            ".encoders.label_pairs:RandomWalkEncoder", "numbers of walks by first label, last label and length"
        ),
        "spectral": Entry(
            ".encoders.spectral:SpectralEncoder", "Laplacian eigenvalues, and how operations sit on the eigenvectors"
        ),
        "complexity": Entry(
            ".encoders.complexity:ComplexityEncoder", "parameters and FLOPs, where the space knows them"
        ),
    },
)
register_encoder = ENCODERS.register


class ConcatenatedEncoder(Encoder):
    """Several encodings side by side.

    Parameters
    ----------
    encoders : sequence of Encoder
        Columns keep this order.
    labels : sequence of str, optional
        Prefixed to the column names, so that they stay distinct.
    """

    def __init__(self, encoders: Sequence[Encoder], labels: Sequence[str] | None = None) -> None:
        self.encoders = encoders
        self.labels = labels

    @property
    def stateless(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(encoder.stateless for encoder in self.encoders)

    def columns(self, space: SearchSpace) -> Columns:
        """Return the columns of all parts."""
        joined = Columns.concatenate([encoder.columns(space) for encoder in self.encoders])
        labels = self.labels or [str(i) for i in range(len(self.encoders))]
        sizes = [len(encoder.columns(space)) for encoder in self.encoders]
        names = [f"{label}: " for label, size in zip(labels, sizes, strict=True) for _ in range(size)]
        prefixed = tuple(prefix + name for prefix, name in zip(names, joined.names, strict=True))
        groups = tuple(prefix + group for prefix, group in zip(names, joined.groups, strict=True))
        return Columns(prefixed, groups, joined.indicator)

    def leaves(self, label: str) -> list[tuple[str, Encoder]]:
        """Return those of all parts, which have the names that they were labelled with."""
        labels = self.labels or [type(part).__name__ for part in self.encoders]
        return [leaf for name, part in zip(labels, self.encoders, strict=True) for leaf in part.leaves(name)]

    def _fit(self, architectures: Architectures) -> None:
        for encoder in self.encoders:
            encoder.fit(architectures)

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        return np.concatenate([encoder.transform(architectures) for encoder in self.encoders], axis=1)

    def _get_state(self) -> dict[str, NDArray[Any]]:
        parts = enumerate(encoder._get_state() for encoder in self.encoders)
        return {f"{i}/{key}": array for i, part in parts for key, array in part.items()}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        for i, encoder in enumerate(self.encoders):
            prefix = f"{i}/"
            encoder.space_ = self.space_
            encoder._set_state({k.removeprefix(prefix): array for k, array in state.items() if k.startswith(prefix)})


def make_encoder(name: str, **parameters: Any) -> Encoder:
    """Return an encoder by name; several joined by `+` stand side by side.

    Parameters
    ----------
    name : str
        E.g. `"adjacency"` or `"path+statistics"`; `archcast list encoders` shows all.
    **parameters
        Constructor arguments, for a single name.

    Raises
    ------
    UnknownNameError
        If there is no such encoder.
    InvalidDataError
        If parameters are given with several names.
    """
    names = name.split("+")
    if len(names) > 1 and parameters:
        raise InvalidDataError(f"encoder parameters need a single encoder name, got {name!r}")
    parts: list[Encoder] = [ENCODERS.make(Encoder, part, **parameters) for part in names]
    return parts[0] if len(parts) == 1 else ConcatenatedEncoder(parts, labels=names)


def split_encoder(kind: str, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what stands before the `@` of `name@encoder`, and the parameters with the encoder among them.

    Raises
    ------
    UnknownNameError
        If there is no such encoder: a misspelt one is reported now rather than when it is used.
    InvalidDataError
        If the parameters hold an encoder too; the message begins with the `kind` of what is named.
    """
    base, at, encoder = name.partition("@")
    if not at:
        return base, dict(parameters)
    if "encoder" in parameters:
        raise InvalidDataError(f"{kind} {name!r} names its encoder, got also {parameters['encoder']!r}")
    make_encoder(encoder)
    return base, {"encoder": encoder, **parameters}


__all__ = ["ENCODERS", "Columns", "ConcatenatedEncoder", "Encoder", "make_encoder", "register_encoder", "split_encoder"]
