"""The tables that ship with archcast."""

from __future__ import annotations

from pathlib import Path

from ..table import Table

FOLDER = Path(__file__).parent


def open_shipped(name: str) -> Table:
    """Open a table that ships with archcast."""
    return Table(FOLDER / f"{name}.h5")
