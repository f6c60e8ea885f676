"""Encoding NAS-Bench-101 graphs, against a networkx loop over the same graphs.

archcast is timed on all graphs, from genotypes to the matrix. The loop is timed on a part of them, from adjacency
matrices and operation lists to the rows, and scaled to all; each row says so. On that part both must agree.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from ...encoders import make_encoder
from ...spaces import Architectures, get_space
from .measurement import Measurement, best_of

SIZES = (1_000, 10_000, 100_000)
SUBSET = 1_000
"""Graphs that the loop is timed on."""
TARGET = 100.0
TARGETED = ("path", "path_multiset", "semantic", "statistics")
"""The others have much cheaper loops: a few dictionary look-ups a node, or one small call into LAPACK."""
TRAINING = 100
"""Graphs that the Weisfeiler-Lehman encoders learn their columns from."""


_ENDS = ("input", "output")

# ---- the loop, written as one would with networkx ---------------------------------------------------------------


def _digraph(matrix: NDArray[np.bool_], operations: Sequence[str]) -> Any:
    """Return one architecture without its dead code."""
    graph = nx.DiGraph()
    graph.add_nodes_from((i, {"op": name}) for i, name in enumerate(operations) if name)
    graph.add_edges_from(zip(*(index.tolist() for index in np.nonzero(matrix)), strict=True))
    source, target = 0, len(operations) - 1
    alive = ({source} | nx.descendants(graph, source)) & ({target} | nx.ancestors(graph, target))
    graph.remove_nodes_from([node for node in list(graph) if node not in alive])
    return graph


def _paths(graph: Any) -> list[tuple[str, ...]]:
    names = nx.get_node_attributes(graph, "op")
    target = max(graph, default=0)
    walks = nx.all_simple_paths(graph, 0, target) if target else []
    return [tuple(names[node] for node in walk[1:-1]) for walk in walks]


def _path_loop(graphs: Any, columns: Sequence[str]) -> Callable[[Any], NDArray[Any]]:
    index = {tuple(name.split(" > ")[1:-1]): k for k, name in enumerate(columns)}

    def encode(graph: Any) -> NDArray[Any]:
        row = np.zeros(len(index), dtype=np.float32)
        for path in _paths(graph):
            row[index[path]] += 1
        return row

    return encode


def _colors(graph: Any, iterations: int = 2) -> Counter[Any]:
    current = nx.get_node_attributes(graph, "op")
    found = Counter(current.values())
    for _ in range(iterations):
        current = {
            node: hash(
                (
                    current[node],
                    tuple(sorted(hash(current[other]) for other in graph.predecessors(node))),
                    tuple(sorted(hash(current[other]) for other in graph.successors(node))),
                )
            )
            for node in graph
        }
        found.update(current.values())
    return found


def _wl_loop(graphs: Any, columns: Sequence[str]) -> Callable[[Any], NDArray[Any]]:
    training = (_digraph(matrix, names) for matrix, names in graphs)
    index = {color: k for k, color in enumerate(dict.fromkeys(c for graph in training for c in _colors(graph)))}

    def encode(graph: Any) -> NDArray[Any]:
        row = np.zeros(len(index), dtype=np.float32)
        for color, number in _colors(graph).items():
            if color in index:
                row[index[color]] = number
        return row

    return encode


def _statistics_loop(graphs: Any, columns: Sequence[str]) -> Callable[[Any], NDArray[Any]]:
    operations = [name.removeprefix("surviving ") for name in columns if name.startswith("surviving ")]

    def encode(graph: Any) -> NDArray[Any]:
        lengths = [len(path) for path in _paths(graph)] or [0]
        last = max(graph, default=0)
        depth: dict[int, int] = {}
        for node in nx.topological_sort(graph):
            depth[node] = max((depth[other] for other in graph.predecessors(node)), default=0) + (0 < node < last)
        levels = Counter(depth[node] for node in graph if 0 < node < last)
        used = Counter(nx.get_node_attributes(graph, "op").values())
        edges = graph.number_of_edges()
        inner = max(len(graph) - 2, 0)
        number = len(lengths) if edges else 0
        return np.array(
            [
                inner,
                edges,
                number,
                np.log1p(number),
                max(lengths),
                min(lengths),
                sum(lengths) / max(number, 1),
                max(levels.values(), default=0),
                graph.out_degree(0) if edges else 0,
                graph.in_degree(last) if edges else 0,
                max((degree for _, degree in graph.in_degree()), default=0),
                max((degree for _, degree in graph.out_degree()), default=0),
                edges / max(len(graph), 1),
                *(used[name] for name in operations),
            ],
            dtype=np.float32,
        )

    return encode


def _spectral_loop(graphs: Any, columns: Sequence[str]) -> Callable[[Any], NDArray[Any]]:
    size = sum(name.startswith("eigenvalue") for name in columns)

    def encode(graph: Any) -> NDArray[Any]:
        row = np.zeros(size, dtype=np.float32)
        if len(graph):
            laplacian = nx.normalized_laplacian_matrix(graph.to_undirected()).toarray()
            row[: len(graph)] = np.linalg.eigh(laplacian)[0][::-1]
        return row

    return encode


# ---- do both agree? ---------------------------------------------------------------------------------------------


def _as_they_are(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    return bool(np.allclose(ours, theirs, atol=1e-5))


def _as_indicators(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    return bool(np.array_equal(ours, theirs > 0))


def _up_to_order(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    return Counter(map(bytes, ours.T.copy())) == Counter(map(bytes, theirs.T.copy()))


def _eigenvalues(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    return _as_they_are(ours[:, : theirs.shape[1]], theirs, columns)


def _shared_statistics(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    """Compare all but dead nodes, and what repeats itself in a space without identities: the loop leaves them out."""
    kept = [k for k, name in enumerate(columns) if name != "dead nodes" and not name.startswith("computing")]
    return _as_they_are(ours[:, kept], theirs, columns)


def _semantic_loop(graphs: Any, columns: Sequence[str]) -> Callable[[Any], NDArray[Any]]:
    index = {name: k for k, name in enumerate(columns)}
    length = max(name.count(">") for name in columns if name.startswith("path input")) - 1

    def tame(value: float) -> float:
        return float(np.log2(1 + value))

    def depths(graph: Any, order: Sequence[int]) -> Counter[tuple[str, int]]:
        depth: dict[int, int] = {}
        for node in order:
            role = graph.nodes[node]["op"] in ("input", "output")
            depth[node] = max((depth[other] for other in graph.predecessors(node)), default=0) + (not role)
        return Counter((graph.nodes[n]["op"], d) for n, d in depth.items() if graph.nodes[n]["op"] not in _ENDS)

    def encode(graph: Any) -> NDArray[Any]:
        row = np.zeros(len(columns), dtype=np.float32)
        names = nx.get_node_attributes(graph, "op")
        sequences = _paths(graph)
        for sequence, count in Counter(s[-length:] for s in sequences).items():
            row[index["path " + " > ".join(["input", *sequence, "output"])]] = tame(count)
        for (a, b), count in Counter((names[a], names[b]) for a, b in graph.edges).items():
            row[index[f"pair {a} > {b}"]] = tame(count)
        order = list(nx.topological_sort(graph))
        for side, view, walk in (("input", graph, order), ("output", graph.reverse(copy=False), order[::-1])):
            for (name, depth), count in depths(view, walk).items():
                row[index[f"{name} {depth} from {side}"]] = tame(count)
        for name, count in Counter(n for n in names.values() if n not in _ENDS).items():
            row[index[f"count {name}"]] = count
        for name in {n for n in names.values() if n not in _ENDS} | {"length"}:
            each = [len(s) if name == "length" else s.count(name) for s in sequences] or [0]
            for statistic, value in zip(
                ("sum", "max", "min", "mean"),
                (tame(sum(each)), max(each), min(each), sum(each) / len(each)),
                strict=True,
            ):
                row[index[f"{statistic} of {name} over paths"]] = value
        row[index["paths"]] = tame(len(sequences))
        return row

    return encode


def _parts_of_semantic(ours: NDArray[Any], theirs: NDArray[Any], columns: Sequence[str]) -> bool:
    """Compare the columns that the loop makes: it spares itself positions, traits and half of the topology."""
    made = ("path ", "pair ", "count ")
    kept = [k for k, name in enumerate(columns) if name.startswith(made) or " from " in name or " length over" in name]
    return _as_they_are(ours[:, kept], theirs[:, kept], columns)


CASES: dict[str, tuple[Callable[..., Any], Callable[..., bool]]] = {
    "path": (_path_loop, _as_indicators),
    "path_multiset": (_path_loop, _as_they_are),
    "statistics": (_statistics_loop, _shared_statistics),
    "semantic": (_semantic_loop, _parts_of_semantic),
    "wl": (_wl_loop, _up_to_order),
    "spectral": (_spectral_loop, _eigenvalues),
}


def _native(architectures: Architectures) -> list[tuple[NDArray[np.bool_], list[str]]]:
    """Return adjacency matrices and operation lists, the empty name for slots that are not in use."""
    graphs = architectures.space.to_graphs(architectures)
    words = [operation.name for operation in graphs.schema.vocabulary]
    used = np.where(graphs.mask, graphs.operations, -1).tolist()
    return [
        (matrix, [words[word] if word >= 0 else "" for word in row])
        for matrix, row in zip(graphs.adjacency, used, strict=True)
    ]


def _full_size(space: Any, n: int, seed: int) -> Any:
    """Return cells whose 7 nodes all matter, as in 85 % of the benchmark: random ones, repeated to make `n`.

    Nothing is remembered from one architecture to the next, so that a repetition costs as much as another cell.
    """
    drawn = space.sample(500_000, seed=seed, distinct=False)
    steps = range(0, len(drawn), 10_000)
    alive = [space.to_graphs(drawn[start : start + 10_000]).prune().mask.all(axis=1) for start in steps]
    return drawn[np.resize(np.flatnonzero(np.concatenate(alive)), n)]


def measure(sizes: Sequence[int] = SIZES, subset: int = SUBSET, seed: int = 0) -> Iterator[Measurement]:
    """Yield one row per encoder and size.

    Raises
    ------
    AssertionError
        If the loop and archcast disagree on the graphs that both encoded.
    """
    space = get_space("nasbench101")
    architectures = _full_size(space, max(sizes), seed)
    native = _native(architectures[:subset])
    for name, (make_loop, agree) in CASES.items():
        encoder = make_encoder(name).fit(architectures[:TRAINING])
        columns = encoder.feature_names_out(space)
        loop = make_loop(native[:TRAINING], columns)
        for matrix, operations in native[:100]:  # networkx imports parts of itself on first use
            loop(_digraph(matrix, operations))
        start = time.perf_counter()
        theirs = np.stack([loop(_digraph(matrix, operations)) for matrix, operations in native])
        each = (time.perf_counter() - start) / len(native)
        assert agree(encoder.transform(architectures[: len(native)]), theirs, columns), f"{name} disagrees"
        for size in sizes:
            measured = f"networkx ({len(native):,} graphs timed{', scaled' if size > len(native) else ''})"
            seconds = best_of(partial(encoder.transform, architectures[:size]))
            target = TARGET if size == max(sizes) and name in TARGETED else None
            yield Measurement(f"encode {name}", size, seconds, measured, each * size, target)
