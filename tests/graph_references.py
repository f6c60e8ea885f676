"""Plain, slow answers about graphs, one architecture at a time, to hold the vectorised code against."""

from collections import Counter
from dataclasses import replace

import networkx as nx
import numpy as np


def to_networkx(graphs, k):
    """Return graph `k` of a batch; nodes are slots with their operation name, role and features."""
    schema = graphs.schema
    graph = nx.DiGraph()
    for j in np.flatnonzero(graphs.mask[k]).tolist():
        operation = schema.vocabulary[graphs.operations[k, j]]
        graph.add_node(j, name=operation.name, role=operation.role, features=tuple(graphs.features[k, j].tolist()))
    for i, j in np.argwhere(graphs.adjacency[k]).tolist():
        if i in graph and j in graph:
            graph.add_edge(i, j)
    return graph


def with_role(graph, role):
    return [node for node, data in graph.nodes(data=True) if data["role"] == role]


def surviving(graph):
    """Return what lies on a path from an input to an output without a node that blocks the signal."""
    graph = graph.copy()
    graph.remove_nodes_from(with_role(graph, "zero"))
    reached = set().union(*({n, *nx.descendants(graph, n)} for n in with_role(graph, "input")))
    needed = set().union(*({n, *nx.ancestors(graph, n)} for n in with_role(graph, "output")))
    return graph.subgraph(reached & needed).copy()


def contracted(graph):
    """Return the graph with each identity replaced by edges around it."""
    graph = graph.copy()
    for node in with_role(graph, "identity"):
        graph.add_edges_from((a, b) for a in list(graph.predecessors(node)) for b in list(graph.successors(node)))
        graph.remove_node(node)
    return graph


def paths(graph):
    """Return every path from an input to an output as a tuple of nodes."""
    ends = set(with_role(graph, "output"))

    def walk(path):
        for node in graph.successors(path[-1]):
            if node in ends:
                yield (*path, node)
            else:
                yield from walk((*path, node))

    return [path for start in with_role(graph, "input") for path in walk((start,))]


def colors(graph, iterations, direction):
    """Return the Weisfeiler-Lehman colours of each round, as nested tuples, as one Counter a round."""
    current = {node: (data["name"], data["features"]) for node, data in graph.nodes(data=True)}
    rounds = [Counter(current.values())]
    for _ in range(iterations):
        refined = {}
        for node in graph:
            before = tuple(sorted(map(repr, (current[i] for i in graph.predecessors(node)))))
            after = tuple(sorted(map(repr, (current[i] for i in graph.successors(node)))))
            shown = {"both": (before, after), "forward": (before,), "backward": (after,)}[direction]
            refined[node] = (current[node], *shown)
        current = refined
        rounds.append(Counter(current.values()))
    return rounds


def relabelled(graphs, rng):
    """Return isomorphic graphs: inner nodes take new slots, in another topological order; ends stay where they are."""
    adjacency, operations = graphs.adjacency.copy(), graphs.operations.copy()
    mask, features = graphs.mask.copy(), graphs.features.copy()
    v = operations.shape[1]
    for k in range(len(graphs)):
        left = set(range(1, v - 1))
        order = [0]
        while left:
            free = [j for j in left if not any(graphs.adjacency[k, i, j] for i in left)]
            order.append(int(rng.choice(free)))
            left.remove(order[-1])
        order.append(v - 1)
        adjacency[k] = graphs.adjacency[k][np.ix_(order, order)]
        operations[k], mask[k], features[k] = (
            graphs.operations[k, order],
            graphs.mask[k, order],
            graphs.features[k, order],
        )
    return replace(graphs, adjacency=adjacency, operations=operations, mask=mask, features=features)
