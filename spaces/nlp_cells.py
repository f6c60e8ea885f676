"""Recurrent cells as arrays: what is valid, what is alive, and how the benchmark drew them.

`Cells` holds the genes of a batch of cells by their meaning. A *signal* is numbered 0 for none, 1 for `x`, 2 to 4 for
`h_prev_0` to `h_prev_2`, and 5 + k for node k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPERATIONS = (
    "linear",
    "blend",
    "elementwise_prod",
    "elementwise_sum",
    "activation_tanh",
    "activation_sigm",
    "activation_leaky_relu",
)
LINEAR, BLEND, FIRST_ACTIVATION, ABSENT = 0, 1, 4, len(OPERATIONS)
FEWEST_INPUTS = np.array([1, 3, 2, 2, 1, 1, 1, 0])
MOST_INPUTS = np.array([3, 3, 2, 2, 1, 1, 1, 0])
NODES, STATES, INPUTS = 24, 3, 3
X, FIRST_STATE, FIRST_NODE = 1, 2, 2 + STATES
SIGNALS = FIRST_NODE + NODES

# The published generator: 7, 14 or 21 nodes before those without use are dropped, besides one for each hidden state.
_DRAWN_NODES = (7, 14, 21)
_DRAWN_WEIGHTS = np.array([3.0, 1.0, 1.0, 1.0])
_THREE_INPUTS = 0.2


@dataclass(frozen=True)
class Cells:
    """A batch of `n` cells.

    Parameters
    ----------
    operations : integer array `(n, 24)`
        Index into `OPERATIONS`, or `ABSENT`.
    inputs : integer array `(n, 24, 3)`
        The signals that each node reads, in order; 0 beyond the last.
    outputs : integer array `(n, 3)`
        The node that is `h_new_0` to `h_new_2`, plus one; 0 for a hidden state that the cell does not have.
    """

    operations: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]

    @classmethod
    def of(cls, genotypes: NDArray[Any]) -> Cells:
        """Read genotype rows `(n, 99)`."""
        nodes = genotypes[:, : NODES * (1 + INPUTS)].reshape(len(genotypes), NODES, 1 + INPUTS).astype(np.int64)
        return cls(nodes[:, :, 0], nodes[:, :, 1:], genotypes[:, NODES * (1 + INPUTS) :].astype(np.int64))

    def genotypes(self) -> NDArray[np.int64]:
        """Return the genotype rows, `(n, 99)`."""
        nodes = np.concatenate([self.operations[:, :, None], self.inputs], axis=2)
        return np.concatenate([nodes.reshape(len(nodes), NODES * (1 + INPUTS)), self.outputs], axis=1)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which nodes there are, `(n, 24)`."""
        present: NDArray[np.bool_] = self.operations < ABSENT
        return present

    def needed(self, *, through_time: bool) -> NDArray[np.bool_]:
        """Return which signals the outputs are made of, `(n, 29)`.

        Parameters
        ----------
        through_time : bool
            Start from `h_new_0`, the output of the cell, and follow each `h_prev_i` to the `h_new_i` of the step
            before; otherwise start from every hidden state and stay within one step.
        """
        lines = np.arange(len(self.operations))
        needed = np.zeros((len(lines), SIGNALS), dtype=np.bool_)
        for i in range(1 if through_time else STATES):
            needed[lines, FIRST_NODE - 1 + self.outputs[:, i]] |= self.outputs[:, i] > 0
        for _ in range(STATES if through_time else 1):
            for k in range(NODES - 1, -1, -1):
                for a in range(INPUTS):
                    needed[lines, self.inputs[:, k, a]] |= needed[:, FIRST_NODE + k]
            if through_time:
                for i in range(1, STATES):
                    exists = self.outputs[:, i] > 0
                    needed[lines, FIRST_NODE - 1 + self.outputs[:, i]] |= exists & needed[:, FIRST_STATE + i]
        needed[:, 0] = False
        return needed

    def problems(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return each rule with the places where it is broken: `(n,)`, `(n, 24)` by node or `(n, 3)` by state.

        The last rule presumes that the others hold.
        """
        present, read = self.present, self.inputs > 0
        counts = read.sum(axis=2)
        gaps = (~read[:, :, :-1] & read[:, :, 1:]).any(axis=2)
        pairs = [(0, 1), (0, 2), (1, 2)]
        twice = np.any([(self.inputs[:, :, a] == self.inputs[:, :, b]) & read[:, :, b] for a, b in pairs], axis=0)
        misplaced = np.zeros_like(present)
        misplaced[:, 1:] = present[:, 1:] & ~present[:, :-1]
        state = self.outputs > 0
        lines = np.arange(len(present))[:, None]
        used = np.stack([(self.inputs == FIRST_STATE + i).any(axis=(1, 2)) for i in range(STATES)], axis=1)
        shared = np.zeros_like(state)
        for i, j in pairs:
            shared[:, j] |= state[:, j] & (self.outputs[:, i] == self.outputs[:, j])
        missing = np.zeros_like(state)
        missing[:, 0] = ~state[:, 0]
        missing[:, 1] = state[:, 2] & ~state[:, 1]
        return [
            ("follows an absent node, expected absent nodes to be the last", misplaced),
            ("has inputs after a missing one", gaps),
            (
                "has the wrong number of inputs, expected 1 to 3 for linear, 3 for blend, 2 for products and sums, "
                "1 for activations",
                (counts < FEWEST_INPUTS[self.operations]) | (counts > MOST_INPUTS[self.operations]),
            ),
            ("reads the same input twice", twice),
            ("is missing", missing),
            ("must be a node that is there", state & ~present[lines, np.maximum(self.outputs, 1) - 1]),
            ("must not be the node of another hidden state", shared),
            ("does not exist, but its h_prev is read", used & ~state),
            ("the output h_new_0 does not depend on x", ~self.needed(through_time=True)[:, X]),
        ]

    def pruned(self) -> Cells:
        """Return the cells without the nodes that no hidden state is made of, the others moved up."""
        keep = self.needed(through_time=False)[:, FIRST_NODE:]
        order = np.argsort(~keep, axis=1, kind="stable")
        renamed = np.tile(np.arange(SIGNALS), (len(keep), 1))
        renamed[:, FIRST_NODE:] = FIRST_NODE + keep.cumsum(axis=1) - 1
        inputs = np.take_along_axis(renamed, self.inputs.reshape(len(keep), NODES * INPUTS), axis=1).reshape(
            self.inputs.shape
        )
        outputs = np.take_along_axis(renamed, FIRST_NODE - 1 + self.outputs, axis=1) - FIRST_NODE + 1
        return Cells(
            np.take_along_axis(np.where(keep, self.operations, ABSENT), order, axis=1),
            np.take_along_axis(np.where(keep[:, :, None], inputs, 0), order[:, :, None], axis=1),
            np.where(self.outputs > 0, outputs, 0),
        )


def draw(n: int, rng: np.random.Generator) -> Cells:
    """Return up to `n` cells from the distribution of the published generator (Klyuchnikov et al., 2020).

    Linear nodes are three times as likely as each of blend, product and sum, have two inputs (four times as likely)
    or three among `x`, the hidden states and earlier activations, and are followed by a random activation; the other
    operations read anything but `x`. Random nodes become the new hidden states, nodes without use are dropped, and
    cells that do not use every input or pass a hidden state straight on to a new one are refused.
    """
    states = rng.integers(1, STATES + 1, size=n)
    budget = rng.choice(_DRAWN_NODES, size=n) + states
    operations = np.full((n, NODES), ABSENT)
    inputs = np.zeros((n, NODES, INPUTS), dtype=np.int64)
    available = np.zeros((n, SIGNALS), dtype=np.bool_)
    available[:, X] = True
    available[:, FIRST_STATE:FIRST_NODE] = np.arange(STATES) < states[:, None]
    for k in range(NODES):
        active = k < budget
        follows = active & (operations[:, k - 1] == LINEAR) if k else np.zeros(n, dtype=np.bool_)
        linear_reads = available.copy()
        linear_reads[:, FIRST_NODE:] &= operations >= FIRST_ACTIVATION
        other_reads = available.copy()
        other_reads[:, X] = False
        others = other_reads.sum(axis=1)
        weights = np.where(others[:, None] >= FEWEST_INPUTS[:FIRST_ACTIVATION], _DRAWN_WEIGHTS, 0.0)
        weights[:, LINEAR] = _DRAWN_WEIGHTS[LINEAR]
        cumulative = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
        chosen = (rng.random(n)[:, None] >= cumulative[:, :-1]).sum(axis=1)
        count = MOST_INPUTS[chosen].copy()
        count[chosen == LINEAR] = 2 + (rng.random((chosen == LINEAR).sum()) < _THREE_INPUTS)
        reads = np.where((chosen == LINEAR)[:, None], linear_reads, other_reads)
        count = np.minimum(count, reads.sum(axis=1))
        ranked = np.argsort(np.where(reads, rng.random((n, SIGNALS)), 2.0), axis=1)[:, :INPUTS]
        drawn = np.where(np.arange(INPUTS) < count[:, None], ranked, 0)
        activation = rng.integers(FIRST_ACTIVATION, ABSENT, size=n)
        operations[:, k] = np.where(active, np.where(follows, activation, chosen), ABSENT)
        inputs[:, k] = np.where(follows[:, None], [[FIRST_NODE + k - 1, 0, 0]], drawn) * active[:, None]
        available[:, FIRST_NODE + k] = active
    score = np.where(np.arange(NODES) < budget[:, None], rng.random((n, NODES)), 2.0)
    outputs = np.where(np.arange(STATES) < states[:, None], np.argsort(score, axis=1)[:, :STATES] + 1, 0)
    cells = Cells(operations, inputs, outputs)
    seen = cells.needed(through_time=False)
    uses_all = seen[:, X] & (seen[:, FIRST_STATE:FIRST_NODE] | (np.arange(STATES) >= states[:, None])).all(axis=1)
    ends = np.take_along_axis(inputs, np.maximum(outputs, 1)[:, :, None] - 1, axis=1)
    straight = ((ends >= FIRST_STATE) & (ends < FIRST_NODE) & (outputs > 0)[:, :, None]).any(axis=(1, 2))
    fine = uses_all & ~straight
    return Cells(operations[fine], inputs[fine], outputs[fine]).pruned()
