"""Back-off of self-heal: the pause between corrections grows while an Application keeps drifting."""

from __future__ import annotations

import time

from gatekeeper.model import NamespacedName
from gatekeeper.named_tuple import NamedTuple

FIRST_SECONDS, FACTOR, MAX_SECONDS = 2.0, 3.0, 300.0
# After this time without drift the back-off starts again.
RESET_SECONDS = 330.0


class _LastHeal(NamedTuple):
    corrections: int
    healed_at: float


class SelfHealBackoff:
    """The corrections of each Application, by the monotonic clock."""

    def __init__(self) -> None:
        self._last: dict[NamespacedName, _LastHeal] = {}

    def begin_heal(self, name: NamespacedName) -> float:
        """Return the seconds until an Application may be corrected; 0 if now, which counts as a correction."""
        now = time.monotonic()
        last = self._last.get(name)
        count = last.corrections if last is not None and now - last.healed_at <= RESET_SECONDS else 0
        if last is not None and count:
            pause: float = min(MAX_SECONDS, FIRST_SECONDS * FACTOR ** (count - 1)) - (now - last.healed_at)
            if pause > 0:
                return pause
        self._last[name] = _LastHeal(count + 1, now)
        return 0.0

    def forget(self, name: NamespacedName) -> None:
        """Drop what is known of a deleted Application."""
        self._last.pop(name, None)
