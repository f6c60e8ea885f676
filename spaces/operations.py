"""What an operation does to a signal, so that encoders can reason about it without knowing its space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["input", "output", "zero", "identity", "compute"]


@dataclass(frozen=True)
class Operation:
    """An entry of a graph vocabulary.

    Parameters
    ----------
    name : str
        The field's name, e.g. `"nor_conv_3x3"`.
    role : {"input", "output", "zero", "identity", "compute"}
        `zero` blocks the signal, `identity` passes it on unchanged, `compute` does work.
    traits : mapping of str to float
        What a `compute` operation has in common with others: `conv`, `pool`, `kernel`, `separable`, `dilated`,
        `linear`, `activation`, `gate` ... An absent trait is 0.
    """

    name: str
    role: Role = "compute"
    traits: Mapping[str, float] = field(default_factory=dict, hash=False)

    def to_spec(self) -> dict[str, object]:
        """Return a JSON-able description from which `as_operation` rebuilds the operation."""
        return {"name": self.name, "role": self.role, "traits": dict(self.traits)}


INPUT = Operation("input", "input")
OUTPUT = Operation("output", "output")


def _conv(kernel: int, **traits: float) -> dict[str, float]:
    return {"conv": 1.0, "kernel": float(kernel), **traits}


def _pool(kernel: int) -> dict[str, float]:
    return {"pool": 1.0, "kernel": float(kernel)}


_ALL = [
    Operation("none", "zero"),
    Operation("zero", "zero"),
    Operation("skip_connect", "identity"),
    Operation("skip", "identity"),
    Operation("identity", "identity"),
    Operation("nor_conv_1x1", traits=_conv(1)),
    Operation("nor_conv_3x3", traits=_conv(3)),
    Operation("conv1x1-bn-relu", traits=_conv(1)),
    Operation("conv3x3-bn-relu", traits=_conv(3)),
    Operation("avg_pool_3x3", traits=_pool(3)),
    Operation("max_pool_3x3", traits=_pool(3)),
    Operation("maxpool3x3", traits=_pool(3)),
    Operation("sep_conv_3x3", traits=_conv(3, separable=1.0)),
    Operation("sep_conv_5x5", traits=_conv(5, separable=1.0)),
    Operation("dil_conv_3x3", traits=_conv(3, dilated=1.0)),
    Operation("dil_conv_5x5", traits=_conv(5, dilated=1.0)),
]
KNOWN_OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}


def as_operation(value: str | Operation | Mapping[str, object]) -> Operation:
    """Return the operation that a name, an `Operation` or its spec stands for.

    A name that is not among `KNOWN_OPERATIONS` becomes a `compute` operation without traits.
    """
    if isinstance(value, Operation):
        return value
    if isinstance(value, Mapping):
        return Operation(str(value["name"]), value.get("role", "compute"), dict(value.get("traits", {})))  # type: ignore[arg-type, call-overload]
    return KNOWN_OPERATIONS.get(value, Operation(value))


def vocabulary(operations: Iterable[str | Operation]) -> tuple[Operation, ...]:
    """Return a graph vocabulary: the input, the output, then the given operations."""
    return (INPUT, OUTPUT, *(as_operation(operation) for operation in operations))
