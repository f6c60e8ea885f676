"""The peak memory of forecasting ever more architectures, against one matrix for all of them (Linux)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

SIZES = (10_000, 30_000, 100_000)
LIMIT_MB = 500.0
"""What the largest forecast may take on top of the interpreter with the fitted model."""

_OURS = """
import json, re, sys, time
import archcast as ac
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
space = ac.get_space("nasbench101")
train = space.sample(500, seed=0)
y = space.complexity(train)["flops"]
model = ac.make_predictor("gp@semantic").fit(train, y)
batch = space.sample(int(sys.argv[1]), seed=1, distinct=False)
model.predict(batch[:100], return_std=True)
before, start = peak(), time.perf_counter()
if sys.argv[2] == "ours":
    model.predict(batch, return_std=True)
else:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern
    import numpy as np
    encoder = ac.make_encoder("semantic")
    F = encoder.transform(train).astype(float)
    gp = GaussianProcessRegressor(Matern(np.sqrt(F.shape[1]), nu=1.5), alpha=0.1, optimizer=None).fit(F, y)
    gp.predict(encoder.transform(batch).astype(float), return_std=True)
print(json.dumps([peak() - before, time.perf_counter() - start]))
"""


def report(sizes: Sequence[int] = SIZES) -> Iterator[tuple[str, bool]]:
    """Yield a line per size, and whether the largest kept within the limit; each in a process of its own."""
    for size in sizes:
        ours, seconds = _run(size, "ours")
        theirs, their_seconds = _run(size, "at once")
        kept = ours <= LIMIT_MB
        yield (
            f"{'forecast NAS-Bench-101 cells':<34} {size:>9,}  {seconds:9.4f} s  {ours:6.0f} MB  "
            f"scikit-learn, all at once {their_seconds:.3g} s, {theirs:.0f} MB: {theirs / max(ours, 1):.1f}x as much  "
            f"[at most {LIMIT_MB:.0f} MB: {'met' if kept else 'MISSED'}]",
            kept,
        )


def _run(size: int, which: str) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", _OURS, str(size), which], check=True, capture_output=True, text=True)
    megabytes, seconds = json.loads(done.stdout)
    return megabytes, seconds
