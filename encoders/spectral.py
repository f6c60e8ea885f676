"""Spectral encoding: eigenvalues of the graph Laplacian, and where the operations sit on its eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import GraphBatch, GraphSchema
from .base import Columns
from .graph import GraphEncoder, check_view, inner_operations, view

_TIE = 1e-6
_ABSENT = 3.0  # beyond the largest eigenvalue of any normalised Laplacian, which is 2


class SpectralEncoder(GraphEncoder):
    """Spectrum of the symmetrised normalised Laplacian, and the share of each operation in its smooth eigenvectors.

    With the undirected adjacency matrix `A` (an edge counts in both directions) and degrees `D`, the Laplacian is
    `L = I - D^(-1/2) A D^(-1/2)`, where an isolated node has a row of zeros.

    - `eigenvalue k`: the eigenvalues in descending order, from 0 to 2; slots that are not in use count as isolated
      nodes, so that they fill up with 0.
    - `share of <operation> in mode k`: the sum of the squared entries of eigenvector `k` over the nodes with this
      operation; modes are those of the smallest eigenvalues, from `mode 0` of eigenvalue 0. Where eigenvalues
      coincide (closer than 1e-6) their eigenvectors are not unique, and the share is the mean over their eigenspace.

    Invariant to the numbering of the nodes, to the sign of eigenvectors and to their choice within an eigenspace; also
    to the direction of edges, which the Laplacian does not see. Node and graph features do not enter. Numerically
    exact to about 1e-6.

    Parameters
    ----------
    eigenvalues : int, optional
        How many eigenvalues; by default as many as there are node slots.
    modes : int
        How many eigenvectors, at most as many as there are node slots; 0 for none.
    graph : {"pruned", "reduced", "full"}
        Drop dead code first; also contract identities; or neither.

    References
    ----------
    Chung, "Spectral graph theory", AMS 1997.
    """

    def __init__(self, eigenvalues: int | None = None, modes: int = 3, graph: str = "pruned") -> None:
        self.eigenvalues = eigenvalues
        self.modes = modes
        self.graph = graph

    def _sizes(self, schema: GraphSchema) -> tuple[int, int]:
        if self.eigenvalues is not None and self.eigenvalues < 1:
            raise InvalidDataError(f"eigenvalues must be None or at least 1, got {self.eigenvalues!r}")
        check_view(self.graph)
        if self.modes < 0:
            raise InvalidDataError(f"modes must be at least 0, got {self.modes!r}")
        v = schema.num_nodes
        return v if self.eigenvalues is None else min(self.eigenvalues, v), min(self.modes, v)

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        eigenvalues, modes = self._sizes(schema)
        words = [schema.vocabulary[word].name for word in inner_operations(schema, self.graph)]
        shares = (f"share of {word} in mode {k}" for k in range(modes) for word in words)
        return Columns.concatenate(
            [
                Columns.of((f"eigenvalue {k + 1}" for k in range(eigenvalues)), "eigenvalue", indicator=False),
                Columns.of(shares, "eigenvector", indicator=False),
            ]
        )

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        return 64 * schema.num_nodes**2

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        schema = graphs.schema
        eigenvalues, modes = self._sizes(schema)
        graphs = view(graphs, self.graph)
        laplacian = _laplacian(graphs)
        if not modes:
            values = np.linalg.eigvalsh(laplacian)
        else:
            values, vectors = np.linalg.eigh(laplacian)
            words = inner_operations(schema, self.graph)
            member = (graphs.operations[:, None, :] == words[:, None]) & graphs.mask[:, None, :]
            shares = _smooth_shares(values, vectors, member, modes)
            out[:, eigenvalues:] = shares.transpose(0, 2, 1).reshape(len(graphs), -1)
        # Slots that are not in use sort last: isolated nodes after all, with eigenvalue 0.
        present = np.where(values > (_ABSENT + 2) / 2, 0.0, np.clip(values, 0.0, 2.0))
        out[:, :eigenvalues] = np.sort(present, axis=1)[:, ::-1][:, :eigenvalues]


def _laplacian(graphs: GraphBatch) -> NDArray[np.float64]:
    """Return the normalised Laplacian `(n, v, v)`, with `_ABSENT` on the diagonal of slots that are not in use."""
    joined = (graphs.adjacency | graphs.adjacency.transpose(0, 2, 1)).astype(np.float64)
    degrees = joined.sum(axis=2)
    scale = 1 / np.sqrt(np.maximum(degrees, 1))
    laplacian: NDArray[np.float64] = -joined * scale[:, :, None] * scale[:, None, :]
    diagonal = np.arange(laplacian.shape[1])
    laplacian[:, diagonal, diagonal] += np.where(graphs.mask, degrees > 0, _ABSENT)
    return laplacian


def _smooth_shares(
    values: NDArray[Any], vectors: NDArray[Any], member: NDArray[np.bool_], modes: int
) -> NDArray[np.float64]:
    """Return what share each group of nodes has in each of the smoothest eigenspaces, `(n, groups, modes)`."""
    tied = np.abs(values[:, :, None] - values[:, None, :modes]) < _TIE
    mean_over_ties = tied / tied.sum(axis=1, keepdims=True)
    present = values[:, None, :modes] < (_ABSENT + 2) / 2
    shares = member.astype(np.float64) @ vectors**2 @ mean_over_ties
    return np.asarray(shares * present, dtype=np.float64)
