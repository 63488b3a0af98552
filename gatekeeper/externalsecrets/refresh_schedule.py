"""When an ExternalSecret is read again, by what its status says: the same as external-secrets, but spread and in step.

Those that share a store and an interval are read together, so that each secret is read once and many go into one
request; the moments of different stores lie apart, and a restart changes none of them. Source: external-secrets
`pkg/controllers/externalsecret/externalsecret_controller.go` (shouldRefresh), `pkg/controllers/util/util.go`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gatekeeper.externalsecrets import secret_builder
from gatekeeper.externalsecrets.fetch_plan import key_of
from gatekeeper.externalsecrets.model import Wanted
from gatekeeper.externalsecrets.secret_builder import DATA_HASH, MANAGED
from gatekeeper.model import at

NEVER = math.inf


def version_of(value: Any) -> str:
    """What external-secrets notes of an object that it has read: its generation, a hash of labels and annotations."""
    maps = (at(value, ("metadata", field)) or {} for field in ("annotations", "labels"))
    notes, labels = (" ".join(f"{key}:{held[key]}" for key in sorted(held, key=str.encode)) for held in maps)
    shown = f"{{annotations:map[{notes}] labels:map[{labels}]}}"
    return f"{at(value, ('metadata', 'generation')) or 0}-{secret_builder.go_hash(shown)}"


def due_at(wanted: Wanted, value: Any, now: float) -> float:
    """When an ExternalSecret is to be read again: seconds since 1970, now where it is due, `NEVER` for never.

    Args:
        value: the object, with its status, as it is in the cluster.
    """
    synced, read_at = at(value, ("status", "syncedResourceVersion")) or "", _time(at(value, ("status", "refreshTime")))
    if not synced or read_at is None:
        return now
    if wanted.refresh == "CreatedOnce" or (wanted.refresh == "Periodic" and wanted.interval <= 0):
        return NEVER
    if synced != version_of(value):
        return now
    if wanted.refresh == "OnChange":
        return NEVER
    # The clock has jumped, here or where that was written.
    if read_at > now:
        return now
    return next_after(wanted, read_at)


def next_after(wanted: Wanted, read_at: float) -> float:
    """The first moment after a reading at which the stores of an ExternalSecret are read: within its interval."""
    phase = _share(wanted) * wanted.interval
    return (math.floor((read_at - phase) / wanted.interval) + 1) * wanted.interval + phase


def _share(wanted: Wanted) -> float:
    """A part of an interval, from 0 to 1, by the store: always the same, so that nothing has to be remembered."""
    refs = [*(item.store for item in wanted.items), *(many.store for many in wanted.many)]
    first = str(min(key_of(store, wanted.namespace) for store in refs))
    return int.from_bytes(hashlib.sha256(first.encode()).digest()[:6], "big") / 2**48


def is_valid(wanted: Wanted, existing: Mapping[str, Any] | None) -> bool:
    """Whether the Secret is as it was written, so that nothing has to be read to mend it."""
    if wanted.target.creation in ("Orphan", "None"):
        return True
    if existing is None or at(existing, ("metadata", "labels", MANAGED)) != "true":
        return False
    held = secret_builder.unpacked(existing.get("data") or {})
    return bool(at(existing, ("metadata", "annotations", DATA_HASH)) == secret_builder.data_hash(held))


def _time(text: Any) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return None
