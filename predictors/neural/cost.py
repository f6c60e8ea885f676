"""What networks cost, counted in multiplications: the seconds that `auto` plans its budget with.

The two constants were measured on one core of a server's processor, over perceptrons and graph networks of 30 to 300
observations; the counts alone decide how estimates compare.
"""

from __future__ import annotations

_STEP_SECONDS = 1e-3
"""What a step of the optimiser takes whatever the network."""
_MULTIPLICATIONS = 4e9
"""Multiplications of a forward pass in a second of training, the way back included."""
FOLDS = 10
"""How many folds are left out in turn: those of `auto`."""

_ROUND = {"gin": 4, "transformer": 16}
"""What a round of message passing or attention costs at a node, in squares of the width.

Attention has eight of weights; its many small products take as long again.
"""


def training_seconds(steps: int, multiplications: float) -> float:
    """Return how long so many steps take, each with so many multiplications on the way forward."""
    return steps * (_STEP_SECONDS + multiplications / _MULTIPLICATIONS)


def perceptron(inputs: int, width: int, depth: int) -> int:
    """Return the multiplications of a `VectorNetwork` for one row, in one member."""
    return inputs * (width + 1) + (depth - 1) * width**2 + width


def graph_network(kind: str, nodes: int, inputs: int, width: int, depth: int) -> int:
    """Return the multiplications of a `GraphNetwork` for one graph, in one member."""
    at_node = inputs * width + depth * (_ROUND[kind] * width**2 + 2 * nodes * width)
    return nodes * at_node + 2 * width**2
