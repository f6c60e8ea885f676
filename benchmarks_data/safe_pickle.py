"""Reading published pickles without letting them run anything.

A pickle is a small programme: it may name any importable object and call it. This reader knows plain containers,
numbers and strings, and rebuilds numpy scalars, arrays and dtypes from data with functions of its own; every other name
is refused before it is looked up, let alone called.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from ..errors import TableFormatError, UnsafeFileError

_PLAIN_DTYPE = re.compile(r"[<>=|]?[biufcSUV]\d{1,9}|[?bhilqpBHILQPefdgFD]")
_SIZE_LIMIT = 1 << 32
_REFUSED = {
    **dict.fromkeys(("PERSID", "BINPERSID"), "it refers to something outside itself"),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), "it refers to something outside itself"),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), "it refers to a registry of code"),
}
_SIZED = {"FRAME", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}
"""Instructions whose number a reader may take for an amount of memory."""


class _DType:
    """What stands for a numpy dtype while a pickle is read: a plain one, without fields or Python objects."""

    def __init__(self, code: Any, *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("ascii", "replace")
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code) or code.lstrip("<>=|").startswith("V"):
            raise UnsafeFileError(f"the pickle asks for the numpy dtype {code!r}, only plain numbers and text are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        if isinstance(order, bytes):
            order = order.decode("ascii", "replace")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(">" if order == ">" else "<")


class _Array:
    """What stands for a numpy array while a pickle is read; `value` holds it once its state has been set."""

    def __init__(self) -> None:
        self.value = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _DType):
            raise UnsafeFileError("the pickle describes a numpy array in an unknown way")
        _, shape, dtype, fortran, data = state
        self.value = _from_bytes(data, dtype.dtype, shape, "F" if fortran else "C")


def _from_bytes(data: Any, dtype: np.dtype[Any], shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if isinstance(data, str):  # protocol 2 of Python 3 and Python 2 spell bytes as latin-1 text
        data = data.encode("latin-1")
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise TableFormatError(f"the pickle holds a numpy array of shape {shape!r}")
    expected = math.prod(shape) * dtype.itemsize
    if not isinstance(data, (bytes, bytearray)) or expected > _SIZE_LIMIT or len(data) != expected:
        raise TableFormatError(f"the pickle holds a numpy array of shape {shape} whose data do not fit")
    flat = np.frombuffer(data, dtype=dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, _DType):
        raise UnsafeFileError("the pickle describes a numpy scalar in an unknown way")
    return _from_bytes(data, dtype.dtype, (), "C")[()]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _DType):
        raise UnsafeFileError("the pickle describes a numpy array in an unknown way")
    return _from_bytes(bytes(data), dtype.dtype, shape, order)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnsafeFileError("the pickle asks to encode something else than latin-1 text")
    return text.encode("latin-1")


def _bytes() -> bytes:
    """Spell out the empty bytes of old protocols; with arguments it could ask for any amount of memory."""
    return b""


def _mark(*_: Any) -> Any:
    raise UnsafeFileError("the pickle asks to make a numpy array in an unknown way")


class _Call:
    """A function that a pickle may call, but not change: the format can set attributes of what it finds."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise UnsafeFileError("the pickle asks to change a function instead of calling it")


_CORES = ("numpy.core", "numpy._core")
_BUILTINS = ("builtins", "__builtin__")
_ALLOWED = {
    ("numpy", "dtype"): _Call(_DType),
    ("numpy", "ndarray"): _Call(_mark),  # only ever handed to `_reconstruct`
    ("_codecs", "encode"): _Call(_encode),
    ("collections", "OrderedDict"): _Call(OrderedDict),
    **{(module, kind.__name__): _Call(kind) for module in _BUILTINS for kind in (set, frozenset, complex)},
    **{(module, "bytes"): _Call(_bytes) for module in _BUILTINS},
    **{(f"{core}.multiarray", "scalar"): _Call(_scalar) for core in _CORES},
    **{(f"{core}.multiarray", "_reconstruct"): _Call(_reconstruct) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Call(_frombuffer) for core in _CORES},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafeFileError(
                f"the pickle asks for {module}.{name}, only plain containers, numbers, strings and numpy arrays are "
                "read; nothing of it was executed"
            ) from None


def safe_load(file: IO[bytes] | bytes) -> Any:
    """Return what a pickle holds, if it holds nothing but plain data.

    Parameters
    ----------
    file : binary file or bytes

    Returns
    -------
    object
        Built of dict, list, tuple, set, str, bytes, numbers, bool, None, and numpy scalars and arrays of plain dtypes.

    Raises
    ------
    UnsafeFileError
        If the pickle names anything else; the message names it, and nothing was executed.
    TableFormatError
        If it is truncated, or no pickle.
    """
    data = file if isinstance(file, bytes) else file.read(_SIZE_LIMIT)
    _inspect(data)
    try:
        return _plain(_Unpickler(io.BytesIO(data), encoding="latin-1").load(), {})
    except (UnsafeFileError, TableFormatError):
        raise
    except Exception as error:  # the unpickler raises whatever a malformed stream leads it to
        raise TableFormatError(f"this is not a readable pickle: {error or type(error).__name__}") from None


def _inspect(data: bytes) -> None:
    """Refuse, before anything is built, what is malformed, reaches outside, or could claim any amount of memory."""
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name in _REFUSED:
                raise UnsafeFileError(f"the pickle uses {opcode.name} at byte {position}: {_REFUSED[opcode.name]}")
            if opcode.name in _SIZED and int(argument or 0) > len(data):
                raise TableFormatError(f"{opcode.name} at byte {position} is larger than the whole pickle")
    except (ValueError, IndexError, OverflowError) as error:
        if isinstance(error, TableFormatError | UnsafeFileError):
            raise
        raise TableFormatError(f"this is not a readable pickle: {error}") from None


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Put the arrays in place of what stood for them; what is referred to twice is converted once."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, (_DType, _Call)):
        raise UnsafeFileError("the pickle holds a type or a function, only data are read")
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = type(value)((_plain(key, done), _plain(item, done)) for key, item in value.items())
        else:
            done[id(value)] = type(value)(_plain(item, done) for item in value)
    return done[id(value)]
