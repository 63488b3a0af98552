"""How long to wait before the next attempt, after a number of failures."""

from __future__ import annotations

import random

from gatekeeper.named_tuple import NamedTuple


class BackoffPolicy(NamedTuple):
    """Pauses that grow from a first one to a longest one.

    Attributes:
        first_seconds: the pause after the first failure.
        longest_seconds: no pause is longer, before `jitter`.
        factor: the ratio of each pause to the previous one; 1 or less keeps the first.
        jitter: each pause is multiplied by a random number between these, so that many clients do not return at once.
    """

    first_seconds: float
    longest_seconds: float
    factor: float = 2.0
    jitter: tuple[float, float] = (1.0, 1.0)

    def compute_pause(self, failures: int) -> float:
        """The seconds to wait after a number of failures in a row.

        Args:
            failures: counted from 1; a smaller number means the first pause.
        """
        pause = self.first_seconds
        # A loop and not a power: a large number of failures must not overflow.
        for _ in range(failures - 1 if self.factor > 1 else 0):
            if pause >= self.longest_seconds or pause <= 0:
                break
            pause *= self.factor
        low, high = self.jitter
        # Randomness spreads load here, and protects nothing.
        return min(pause, self.longest_seconds) * (random.uniform(low, high) if low != high else low)
