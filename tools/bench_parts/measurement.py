"""What every part of the benchmark suite reports: our time beside that of a peer, measured in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One line of the report.

    Parameters
    ----------
    what : str
        What was done.
    size : int
        On how much: architectures, observations, rows.
    seconds : float
        Ours.
    peer : str
        Whom it is compared with, and how that was timed.
    peer_seconds : float or None
        None where the peer was not at hand.
    target : float or None
        The ratio that is to be reached at this size.
    limit : float or None
        The seconds that must not be exceeded.
    note : str
        E.g. that both gave the same answer.
    """

    what: str
    size: int
    seconds: float
    peer: str = ""
    peer_seconds: float | None = None
    target: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the peer takes as long."""
        return None if self.peer_seconds is None else self.peer_seconds / self.seconds

    @property
    def met(self) -> bool:
        """Whether target and limit are met, as far as there are any and the peer was at hand."""
        slow = self.limit is not None and self.seconds > self.limit
        close = self.target is not None and self.ratio is not None and self.ratio < self.target
        return not slow and not close

    def __str__(self) -> str:
        parts = [f"{self.what:<34} {self.size:>9,}  {self.seconds:9.4f} s"]
        if self.peer_seconds is not None:
            parts.append(f"{self.peer} {self.peer_seconds:.4g} s: {self.ratio:.1f}x")
        wanted = [f"at least {self.target:g}x"] if self.target is not None else []
        wanted += [f"at most {self.limit:g} s"] if self.limit is not None else []
        if wanted:
            parts.append(f"[{' and '.join(wanted)}: {'met' if self.met else 'MISSED'}]")
        if self.note:
            parts.append(f"({self.note})")
        return "  ".join(parts)


def best_of(action: Callable[[], Any], repeats: int = 3) -> float:
    """Return the seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)
