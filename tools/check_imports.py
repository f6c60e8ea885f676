"""Check that imports between the rooms of the package point downwards only.

Run as `python tools/check_imports.py`; exits with 1 and one line per offending import.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What each room may import from, besides itself and the modules at the root. Later rooms know all earlier ones.
MAY_IMPORT = {
    "spaces": set[str](),
    "encoders": {"spaces"},
    "benchmarks_data": {"spaces"},
    "predictors": {"spaces", "encoders"},
    "designs": {"spaces", "encoders", "predictors"},
    "trainers": {"spaces", "benchmarks_data"},
    "searchers": {"spaces", "encoders", "predictors", "designs"},
    "evaluation": {"spaces", "encoders", "benchmarks_data", "predictors", "designs", "trainers", "searchers"},
    "explanations": {"spaces", "encoders", "predictors", "evaluation"},
    "studies": {
        "spaces",
        "encoders",
        "benchmarks_data",
        "predictors",
        "designs",
        "trainers",
        "searchers",
        "evaluation",
        "explanations",
    },
    "tools": {
        "spaces",
        "encoders",
        "benchmarks_data",
        "predictors",
        "designs",
        "trainers",
        "searchers",
        "evaluation",
        "explanations",
        "studies",
    },
}


def imported_rooms(path: Path) -> list[tuple[int, str]]:
    """Return line and room of each relative import of a module; absolute imports of the package are line 0 rooms."""
    parts = path.relative_to(ROOT).parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            target = [*base, *(node.module or "").split(".")] if node.module else list(base)
            names = [target[0]] if target and target[0] else [alias.name for alias in node.names]
            found += [(node.lineno, name) for name in names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "archcast":
            found.append((node.lineno, "archcast (use a relative import)"))
        elif isinstance(node, ast.Import):
            found += [
                (node.lineno, "archcast (use a relative import)")
                for alias in node.names
                if alias.name.split(".")[0] == "archcast"
            ]
    return found


def main() -> int:
    """Print every import that points upwards; return the exit status."""
    problems = []
    for room, allowed in MAY_IMPORT.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            if room == "tools" and path.parent.name != "commands" and path.name not in ("cli.py", "__init__.py"):
                continue  # scripts that use the installed package
            problems += [
                f"{path.relative_to(ROOT)}:{line}: {room} must not import from {name}"
                for line, name in imported_rooms(path)
                if name.startswith("archcast") or (name in MAY_IMPORT and name != room and name not in allowed)
            ]
    print("\n".join(problems) or "imports point downwards")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
