"""The recipes of NAS-Bench-NLP, read and written: `{"node": {"op": "linear", "input": ["x", "h_prev_0"]}, ...}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArchitectureError
from .nlp_cells import ABSENT, FEWEST_INPUTS, FIRST_NODE, FIRST_STATE, INPUTS, MOST_INPUTS, NODES, OPERATIONS, STATES, X
from .topology import topological_order

_STATE = re.compile(r"h_new_(\d+)")
_SIGNALS = {"x": X, **{f"h_prev_{i}": FIRST_STATE + i for i in range(STATES)}}
_EXAMPLE = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'


def read_text(text: str) -> Any:
    """Return the recipe in a JSON text.

    Raises
    ------
    InvalidArchitectureError
        If it is not JSON, or names a node twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except (json.JSONDecodeError, RecursionError):
        raise InvalidArchitectureError(f"expected a recipe in JSON like {_EXAMPLE}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidArchitectureError(f"expected each name once, got {twice!r} twice")
    return found


def genes_of(recipe: Any) -> list[int]:
    """Return the genotype of a recipe: nodes in the given order, sorted where one reads a later one.

    Raises
    ------
    InvalidArchitectureError
        Naming the node at fault.
    """
    if not isinstance(recipe, Mapping) or not all(isinstance(name, str) for name in recipe):
        raise InvalidArchitectureError(f"expected a recipe like {_EXAMPLE}, got {type(recipe).__name__}")
    if len(recipe) > NODES:
        raise InvalidArchitectureError(f"expected at most {NODES} nodes, got {len(recipe)}")
    for name in recipe:
        if name in _SIGNALS:
            raise InvalidArchitectureError(f"expected {name!r} to be an input only, got a node of that name")
    nodes = {name: _node(name, value, recipe) for name, value in recipe.items()}
    names = list(nodes)
    number = {name: k for k, name in enumerate(names)}
    edges = np.zeros((len(names), len(names)), dtype=np.bool_)
    for name, (_, inputs) in nodes.items():
        for signal in inputs:
            if signal in number:
                edges[number[signal], number[name]] = True
    order = [names[k] for k in topological_order(edges, names)]
    place = {name: k for k, name in enumerate(order)}
    codes = {**_SIGNALS, **{name: FIRST_NODE + k for name, k in place.items()}}
    genes: list[int] = []
    for name in order:
        operation, inputs = nodes[name]
        genes += [operation, *(codes[signal] for signal in inputs), *[0] * (INPUTS - len(inputs))]
    genes += [ABSENT, *[0] * INPUTS] * (NODES - len(order))
    return [*genes, *_outputs(place)]


def _node(name: str, value: Any, recipe: Mapping[str, Any]) -> tuple[int, list[str]]:
    if not isinstance(value, Mapping) or "op" not in value or "input" not in value:
        raise InvalidArchitectureError(f"expected 'op' and 'input' at node {name!r}, got {value!r}")
    operation, inputs = value["op"], value["input"]
    if operation not in OPERATIONS:
        raise InvalidArchitectureError(
            f"unknown operation {operation!r} at node {name!r}, expected one of {', '.join(OPERATIONS)}"
        )
    index = OPERATIONS.index(operation)
    if not isinstance(inputs, (list, tuple)):
        raise InvalidArchitectureError(f"expected a list of inputs at node {name!r}, got {inputs!r}")
    fewest, most = int(FEWEST_INPUTS[index]), int(MOST_INPUTS[index])
    if not fewest <= len(inputs) <= most:
        wanted = f"{fewest} to {most}" if fewest < most else str(most)
        raise InvalidArchitectureError(f"expected {wanted} inputs of {operation} at node {name!r}, got {len(inputs)}")
    for position, signal in enumerate(inputs):
        if not isinstance(signal, str) or (signal not in recipe and signal not in _SIGNALS):
            raise InvalidArchitectureError(f"unknown input {signal!r} at node {name!r}, expected a node, x or h_prev_i")
        if signal in inputs[:position]:
            raise InvalidArchitectureError(f"expected different inputs at node {name!r}, got {signal!r} twice")
    return index, list(inputs)


def _outputs(place: Mapping[str, int]) -> list[int]:
    outputs = [0] * STATES
    for name, k in place.items():
        match = _STATE.fullmatch(name)
        if match is None:
            continue
        if int(match[1]) >= STATES or name != f"h_new_{int(match[1])}":
            raise InvalidArchitectureError(f"expected hidden states h_new_0 to h_new_{STATES - 1}, got {name!r}")
        outputs[int(match[1])] = k + 1
    for i in range(STATES):
        if not outputs[i] and (i == 0 or any(outputs[i:])):
            raise InvalidArchitectureError(f"expected a node 'h_new_{i}', got only {', '.join(place) or 'none'}")
    return outputs


def recipe_of(genotype: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the recipe of a valid genotype; nodes that are no hidden state are named `node_0`, `node_1` ..."""
    size = 1 + INPUTS
    states = {node - 1: f"h_new_{i}" for i, node in enumerate(genotype[NODES * size :]) if node}
    names = {code: name for name, code in _SIGNALS.items()}
    recipe = {}
    unnamed = 0
    for k in range(NODES):
        operation, *inputs = genotype[k * size : (k + 1) * size]
        if operation == ABSENT:
            break
        name = states.get(k, f"node_{unnamed}")
        unnamed += k not in states
        names[FIRST_NODE + k] = name
        recipe[name] = {"op": OPERATIONS[operation], "input": [names[code] for code in inputs if code]}
    return recipe
