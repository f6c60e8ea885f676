"""Run the benchmark suite: `tools/bench [PART ...]`; exits with 1 if a target is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from .measurement import Measurement

PARTS = (
    "startup",
    "table",
    "canonical",
    "encode",
    "surrogate",
    "growth",
    "neural",
    "memory",
    "network",
    "train",
    "search",
    "replay",
)


def lines(part: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a part, and whether each meets its target."""
    module = import_module(f".{part}", package=__package__)
    report: Callable[[], Iterator[tuple[str, bool]]] | None = getattr(module, "report", None)
    if report is not None:
        yield from report()
        return
    measurements: Iterator[Measurement] = module.measure()
    for measurement in measurements:
        yield str(measurement), measurement.met


def main() -> int:
    """Print every line as it is measured."""
    parser = argparse.ArgumentParser(description="Measure archcast against peers and naive code, in the same run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"out of {', '.join(PARTS)}; all if left out")
    chosen = parser.parse_args().parts or list(PARTS)
    for part in chosen:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}, expected one of {', '.join(PARTS)}")
    missed = 0
    for part in chosen:
        print(f"# {part}", flush=True)
        for text, met in lines(part):
            print(text, flush=True)
            missed += not met
    print(f"{missed} target(s) missed" if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
