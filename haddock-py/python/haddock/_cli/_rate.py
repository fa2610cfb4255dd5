"""Estimates when a drain ends, at the present rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Rate:
    """The rate at which sessions leave, from recent counts."""

    window: float = 600.0
    """Only counts of this many last seconds are used."""
    seen: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def add(self, at: float, sessions: int | None) -> None:
        """Notes how many sessions are left at this time, in seconds. Unknown counts are left out."""
        if sessions is None:
            return
        self.seen.append((at, sessions))
        while self.seen[0][0] < at - self.window and len(self.seen) > 2:
            self.seen.popleft()

    def left(self) -> float | None:
        """The seconds until none is left, by a least-squares line. `None` if the number does not fall."""
        if len(self.seen) < 2:
            return None
        if self.seen[-1][1] == 0:
            return 0.0
        times = [at for at, _ in self.seen]
        sessions = [number for _, number in self.seen]
        middle, mean = sum(times) / len(times), sum(sessions) / len(sessions)
        spread = sum((at - middle) ** 2 for at in times)
        if spread == 0:
            return None
        slope = sum((at - middle) * (number - mean) for at, number in self.seen) / spread
        return None if slope >= 0 else self.seen[-1][1] / -slope
