"""`ChainSpace`: a sequence of blocks, each with its own hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError, InvalidDataError
from .base import Gene, SearchSpace
from .graphs import GraphBatch, GraphSchema
from .hashing import row_keys
from .operations import Operation, as_operation, vocabulary

Choice: TypeAlias = bool | int | float | str
Block: TypeAlias = Mapping[str, Sequence[Any]]

OPERATION = "operation"
"""The hyperparameter that names the operation of its block."""

MAX_OPERATIONS = 100
"""Graphs hold operations as 8-bit integers."""

BLOCK = Operation("block")
"""What a block does that names no operation."""


class ChainSpace(SearchSpace):
    """Networks that are a sequence of blocks, each with named hyperparameters.

    The genotype holds one integer per block and hyperparameter: the index of the choice. The native notation is a
    JSON object (or a mapping) with one key per gene, `block<i>_<hyperparameter>`. Graphs are paths: the input, one
    node per block, the output. Numbers and booleans (as 0 and 1) are node features; a choice among strings becomes
    one 0/1 node feature per string, named `<hyperparameter>=<string>`. A hyperparameter called `"operation"` is
    special: its choices are the operations of the nodes, and known names such as `"skip"` keep their meaning. Blocks
    without it have the operation `block`.

    An identity block has no use for its other hyperparameters, so they do not count in the canonical form.

    Parameters
    ----------
    blocks : sequence of mappings, or one mapping
        Per block the choices of each hyperparameter: all numbers, all booleans or all strings. The choices of
        `"operation"` may also be `Operation` objects or their specs.
    count : int, optional
        With one mapping: how many such blocks there are.
    name : str
        The registered name.

    Raises
    ------
    InvalidDataError
        If there is no block, a hyperparameter has no choices, repeated choices or choices of several kinds, or there
        are more than 100 operations.

    Examples
    --------
    >>> space = ChainSpace({"expansion": [1, 4, 6], "se": [False, True]}, count=2)
    >>> space.size
    36
    >>> space.format(np.array([[1, 1, 2, 0]]))[0]
    '{"block0_expansion": 4, "block0_se": true, "block1_expansion": 6, "block1_se": false}'
    """

    feature_labels: ClassVar[Mapping[str, str]] = {}
    """Readable names of hyperparameters whose native names are short, for the columns of the node features."""

    network = ".spaces.networks.chains:chain_network"

    block_constants: ClassVar[Mapping[str, Sequence[float]]] = {}
    """Further node features that all architectures share: a name and one value per block."""

    def __init__(self, blocks: Sequence[Block] | Block, count: int | None = None, *, name: str = "chain") -> None:
        listed = _list_blocks(blocks, count)
        self.blocks: tuple[dict[str, tuple[Choice, ...]], ...] = ()
        self._operations: dict[str, Operation] = {}
        genes = []
        self._slots: list[tuple[int, str]] = []  # per gene its block and hyperparameter
        for position, block in enumerate(listed):
            checked: dict[str, tuple[Choice, ...]] = {}
            for key, values in block.items():
                where = f"hyperparameter {key!r} of block {position}"
                checked[key] = self._add_operations(values, where) if key == OPERATION else _choices(values, where)
                genes.append(Gene(f"block{position}_{key}", checked[key], _is_ordered(checked[key])))
                self._slots.append((position, key))
            self.blocks += (checked,)
        parameters = {"blocks": [self._block_spec(block) for block in self.blocks]}
        super().__init__(name, genes, parameters if name == "chain" else {})

    def _add_operations(self, values: Sequence[Any], where: str) -> tuple[str, ...]:
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
            raise InvalidDataError(f"{where} needs a list of choices, got {values!r}")
        operations = [as_operation(value) for value in values]
        for operation in operations:
            if operation.role in ("input", "output"):
                raise InvalidDataError(f"{where} must not have the role {operation.role!r}, got {operation.name!r}")
            known = self._operations.setdefault(operation.name, operation)
            if known.to_spec() != operation.to_spec():
                raise InvalidDataError(f"{where} contradicts an earlier meaning of operation {operation.name!r}")
        if len(self._operations) > MAX_OPERATIONS:
            raise InvalidDataError(f"a chain can have at most {MAX_OPERATIONS} operations, {where} exceeds that")
        names = _choices([operation.name for operation in operations], where)
        return tuple(str(name) for name in names)

    def _block_spec(self, block: Mapping[str, tuple[Choice, ...]]) -> dict[str, list[Any]]:
        return {
            key: [self._operations[str(c)].to_spec() for c in choices] if key == OPERATION else list(choices)
            for key, choices in block.items()
        }

    @cached_property
    def _positions(self) -> list[dict[Any, int]]:
        return [{choice: k for k, choice in enumerate(gene.choices)} for gene in self.genes]

    # ---- notation -----------------------------------------------------------------------------------------------

    def _parse_text(self, text: str) -> Sequence[int]:
        try:
            item = json.loads(text, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            if isinstance(error, InvalidArchitectureError):
                raise
            raise InvalidArchitectureError(f"expected a JSON object with a key per gene: {error}") from None
        return self._parse_object(item)

    def _parse_object(self, item: Any) -> Sequence[int]:
        if not isinstance(item, Mapping):
            raise InvalidArchitectureError(
                f"expected a mapping or JSON object with a key per gene, or {self.dimension} integers, "
                f"got {type(item).__name__}"
            )
        names = {gene.name for gene in self.genes}
        for key in item:
            if key not in names:
                raise InvalidArchitectureError(f"unknown key {key!r}, expected {', '.join(g.name for g in self.genes)}")
        genotype = []
        for gene, positions in zip(self.genes, self._positions, strict=True):
            if gene.name not in item:
                raise InvalidArchitectureError(f"key {gene.name!r} is missing")
            genotype.append(_find(item[gene.name], gene, positions))
        return genotype

    def to_dict(self, genotype: Sequence[int]) -> dict[str, Any]:
        """Return the choices of one valid genotype by gene name, in the order of the genes."""
        return {gene.name: gene.choices[value] for gene, value in zip(self.genes, genotype, strict=True)}

    def block_choices(self, genotype: Sequence[int]) -> list[dict[str, Choice]]:
        """Return the choices of one valid genotype by hyperparameter, a mapping per block."""
        chosen: list[dict[str, Choice]] = [{} for _ in self.blocks]
        for (block, key), gene, value in zip(self._slots, self.genes, genotype, strict=True):
            chosen[block][key] = gene.choices[value]  # type: ignore[assignment]
        return chosen

    def operation(self, name: str) -> Operation:
        """Return the operation of that name among the choices of `"operation"`."""
        return self._operations[name]

    def _format_row(self, genotype: Sequence[int]) -> str:
        return json.dumps(self.to_dict(genotype), ensure_ascii=False)

    # ---- graphs -------------------------------------------------------------------------------------------------

    @cached_property
    def _feature_columns(self) -> dict[tuple[str, str | None], int]:
        """The column of each numeric hyperparameter `(key, None)` and of each string choice `(key, choice)`."""
        columns: dict[tuple[str, str | None], int] = {}
        for (_, key), gene in zip(self._slots, self.genes, strict=True):
            if key != OPERATION:
                for choice in gene.choices:
                    columns.setdefault((key, choice if isinstance(choice, str) else None), len(columns))
        return columns

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """A path: the input, one node per block, the output."""
        plain = any(OPERATION not in block for block in self.blocks)
        words = vocabulary([*self._operations.values(), *([BLOCK] if plain else [])])
        index = {operation.name: k for k, operation in enumerate(words)}
        v = len(self.blocks) + 2
        allowed = np.zeros((v, len(words)), dtype=np.bool_)
        allowed[0, 0] = allowed[-1, 1] = True
        for node, block in enumerate(self.blocks, start=1):
            allowed[node, [index[str(name)] for name in block.get(OPERATION, (BLOCK.name,))]] = True
        return GraphSchema(
            vocabulary=words,
            node_operations=allowed,
            possible_edges=np.eye(v, k=1, dtype=np.bool_),
            node_names=("input", *(f"block{i}" for i in range(len(self.blocks))), "output"),
            feature_names=(
                *(
                    self.feature_labels.get(key, key) + ("" if choice is None else f"={choice}")
                    for key, choice in self._feature_columns
                ),
                *self.block_constants,
            ),
        )

    def _graphs(self, genotypes: NDArray[np.int16]) -> GraphBatch:
        schema = self.graph_schema
        n, v = len(genotypes), schema.num_nodes
        index = {operation.name: k for k, operation in enumerate(schema.vocabulary)}
        operations = np.full((n, v), index.get(BLOCK.name, 1), dtype=np.int8)
        operations[:, 0], operations[:, -1] = 0, 1
        features = np.zeros((n, v, len(schema.feature_names)), dtype=np.float32)
        for column, ((block, key), gene) in enumerate(zip(self._slots, self.genes, strict=True)):
            values = genotypes[:, column]
            if key == OPERATION:
                operations[:, block + 1] = np.array([index[str(c)] for c in gene.choices])[values]
            elif isinstance(gene.choices[0], str):
                for k, choice in enumerate(gene.choices):
                    features[:, block + 1, self._feature_columns[key, str(choice)]] = values == k
            else:
                features[:, block + 1, self._feature_columns[key, None]] = np.array(gene.choices, np.float32)[values]
        for column, constants in enumerate(self.block_constants.values(), start=len(self._feature_columns)):
            features[:, 1:-1, column] = constants
        roles = schema.roles[operations]
        features *= (roles == "compute")[:, :, None]
        adjacency = np.broadcast_to(schema.possible_edges, (n, v, v))
        return GraphBatch.build(schema, adjacency, operations, features=features)

    def _keys(self, genotypes: NDArray[np.int16]) -> NDArray[np.uint64]:
        return row_keys(self._without_dead_genes(genotypes))

    def _without_dead_genes(self, genotypes: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the rows with all genes set to 0 that cannot matter."""
        rows = genotypes.astype(np.int64)
        blocks = np.array([block for block, _ in self._slots])
        for column, (block, key) in enumerate(self._slots):
            if key != OPERATION:
                continue
            roles = np.array([self._operations[str(c)].role for c in self.genes[column].choices])[genotypes[:, column]]
            mine = (blocks == block) & (np.arange(self.dimension) != column)
            rows[np.ix_(roles == "identity", mine)] = 0
            rows[roles == "zero"] = -1  # the signal ends here: all such networks are alike
        rows[(rows < 0).any(axis=1)] = -1
        return rows


def _list_blocks(blocks: Sequence[Block] | Block, count: int | None) -> list[Block]:
    if isinstance(blocks, Mapping):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidDataError(f"one block description needs a positive count of blocks, got {count!r}")
        blocks = [blocks] * count
    elif count is not None:
        raise InvalidDataError(f"a count of blocks needs a single block description, got a list and count={count!r}")
    if not isinstance(blocks, Sequence) or not blocks:
        raise InvalidDataError(f"a chain needs at least one block description, got {blocks!r}")
    for position, block in enumerate(blocks):
        if not isinstance(block, Mapping) or not block or not all(isinstance(key, str) and key for key in block):
            raise InvalidDataError(f"block {position} must map names of hyperparameters to choices, got {block!r}")
    return list(blocks)


def _choices(values: Sequence[Any], where: str) -> tuple[Choice, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
        raise InvalidDataError(f"{where} needs a list of choices, got {values!r}")
    plain = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    booleans = [isinstance(value, bool) for value in plain]
    numbers = [isinstance(value, (int, float)) for value in plain]
    strings = [isinstance(value, str) for value in plain]
    if not (all(booleans) or all(strings) or (all(numbers) and not any(booleans))):
        raise InvalidDataError(f"{where} must be all numbers, all booleans or all strings, got {list(plain)}")
    if len(set(plain)) != len(plain) or not all(np.isfinite(value) for value in plain if isinstance(value, float)):
        raise InvalidDataError(f"{where} must have distinct and finite choices, got {list(plain)}")
    return plain


def _is_ordered(choices: tuple[Choice, ...]) -> bool:
    """Say whether the choices are numbers in increasing order; yes or no is neither."""
    numbers = [choice for choice in choices if isinstance(choice, (int, float)) and not isinstance(choice, bool)]
    return len(numbers) == len(choices) and all(a < b for a, b in pairwise(numbers))


def _find(value: Any, gene: Gene, positions: Mapping[Any, int]) -> int:
    plain = value.item() if isinstance(value, np.generic) else value
    # True == 1 in Python: a boolean is no number here, but 0 and 1 are taken for booleans.
    misplaced = isinstance(plain, bool) and not isinstance(gene.choices[0], bool)
    if misplaced or not isinstance(plain, (bool, int, float, str)) or plain not in positions:
        raise InvalidArchitectureError(
            f"{gene.name!r} must be one of {', '.join(json.dumps(choice) for choice in gene.choices)}, got {value!r}"
        )
    return positions[plain]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for k, (key, _) in enumerate(pairs) if key in {other for other, _ in pairs[:k]})
        raise InvalidArchitectureError(f"key {twice!r} appears twice")
    return result
