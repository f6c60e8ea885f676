"""Reading architectures from arguments, files and standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidArchitectureError, InvalidDataError

if TYPE_CHECKING:
    from ...spaces import Architectures, SearchSpace

ArchitectureArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARCHITECTURE...", help="Architectures in the native notation of the space; '-' reads standard input."
    ),
]
ArchitectureFile = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="A file of architectures: one a line, a JSON list, or JSON lines.", dir_okay=False
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seeds everything random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="TABLE:METRIC[@EPOCH]",
        help="A history to learn from besides, or the file of a fitted predictor, repeatable; for gp_transfer, "
        "gp_multitask and rgpe, for searchers with these as surrogate, such as bo_transfer, and for warm:SEARCHER, "
        "which begins with what the sources think best.",
    ),
]
SpaceOption = Annotated[str, typer.Option("--space", "-s", help="A registered search space, or a JSON space spec.")]


def get_space(text: str) -> SearchSpace:
    """Return the space of a registered name, or of a JSON spec such as `{"space": "cell", "parameters": {...}}`."""
    from ... import spaces

    if not text.lstrip().startswith("{"):
        return spaces.get_space(text)
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDataError(f"the space spec is not valid JSON: {error}") from None
    return spaces.space_from_spec(spec)


def read_architectures(space: SearchSpace, arguments: Sequence[str] | None, file: Path | None) -> Architectures:
    """Return the architectures given as arguments, in a file, and on standard input (argument `-`), in this order.

    Raises
    ------
    InvalidArchitectureError
        Naming the first bad one and where it stands.
    InvalidDataError
        If none is given at all.
    """
    from ...spaces import Architectures

    sources: list[tuple[str, list[Any]]] = []
    named = [item for item in arguments or [] if item != "-"]
    if named:
        sources.append(("argument", named))
    if file is not None:
        sources.append((f"{file}", _items(read_text(file), str(file))))
    if "-" in (arguments or []):
        sources.append(("standard input", _items(sys.stdin.read(), "standard input")))
    if not any(items for _, items in sources):
        raise InvalidDataError("expected architectures as arguments, with --file, or '-' for standard input; got none")
    batches = []
    for origin, items in sources:
        try:
            batches.append(space.parse(items))
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(f"{origin}: {error}") from None
    return Architectures.concatenate(batches)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    ArchcastError
        If it cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArchcastError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArchcastError(f"cannot read {path}: it is not UTF-8 text") from None


def _items(text: str, origin: str) -> list[Any]:
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            whole = json.loads(stripped)
        except json.JSONDecodeError:
            whole = None  # genotypes, one JSON list a line
        if isinstance(whole, list) and not all(isinstance(value, int) for value in whole):
            return whole
    items: list[Any] = []
    for number, line in enumerate(stripped.splitlines(), start=1):
        content = line.strip()
        if content.startswith(("[", "{")):
            try:
                items.append(json.loads(content))
            except json.JSONDecodeError as error:
                raise InvalidDataError(f"{origin}, line {number}: not valid JSON: {error}") from None
        elif content:
            items.append(content)
    return items
