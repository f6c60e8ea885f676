"""How long the package and its command line take to answer at all, against importing what they could have imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from .measurement import Measurement, best_of

HEAVY = ("torch", "gpytorch", "xgboost", "sklearn", "matplotlib")


def measure() -> Iterator[Measurement]:
    """Yield the import and the help page; both in fresh interpreters, whose own start is included."""
    eager = best_of(lambda: _python("-c", "import sklearn.gaussian_process, xgboost, matplotlib.pyplot, h5py"))
    for what, arguments, limit in (
        ("import archcast", ("-c", "import archcast"), 0.3),
        ("archcast --help", ("-m", "archcast", "--help"), 0.6),
    ):
        _python(*arguments)  # compiles what was never run
        probe = "import runpy, sys; sys.argv[:] = ['archcast', '--help']\ntry: runpy.run_module('archcast')\n"
        probe += "except SystemExit: pass\nassert not set(sys.modules) & set(" + repr(HEAVY) + ")"
        _python("-c", probe)
        yield Measurement(
            what,
            1,
            best_of(partial(_python, *arguments), 5),
            "eager imports",
            eager,
            limit=limit,
            note=f"without {', '.join(HEAVY)}",
        )


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
