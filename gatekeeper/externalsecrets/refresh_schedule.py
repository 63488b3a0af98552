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
from gatekeeper.externalsecrets.fetch_plan import resolve_store_key
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.secret_builder import DATA_HASH_ANNOTATION, MANAGED_LABEL
from gatekeeper.model import get_field

NEVER = math.inf


def compute_synced_version(value: Any) -> str:
    """What external-secrets notes of an object that it has read: its generation, a hash of labels and annotations."""
    maps = (get_field(value, ("metadata", field)) or {} for field in ("annotations", "labels"))
    notes, labels = (" ".join(f"{key}:{held[key]}" for key in sorted(held, key=str.encode)) for held in maps)
    shown = f"{{annotations:map[{notes}] labels:map[{labels}]}}"
    return f"{get_field(value, ('metadata', 'generation')) or 0}-{secret_builder.compute_go_hash(shown)}"


def compute_due_time(spec: ExternalSecretSpec, value: Any, now: float) -> float:
    """When an ExternalSecret is to be read again: seconds since 1970, now where it is due, `NEVER` for never.

    Args:
        value: the object, with its status, as it is in the cluster.
    """
    synced, read_at = (
        get_field(value, ("status", "syncedResourceVersion")) or "",
        _parse_time(get_field(value, ("status", "refreshTime"))),
    )
    if not synced or read_at is None:
        return now
    if spec.refresh_policy == "CreatedOnce" or (spec.refresh_policy == "Periodic" and spec.interval <= 0):
        return NEVER
    if synced != compute_synced_version(value):
        return now
    if spec.refresh_policy == "OnChange":
        return NEVER
    # The clock has jumped, here or where that was written.
    if read_at > now:
        return now
    return compute_next_read(spec, read_at)


def compute_next_read(spec: ExternalSecretSpec, read_at: float) -> float:
    """The first moment after a reading at which the stores of an ExternalSecret are read: within its interval."""
    phase = _compute_phase(spec) * spec.interval
    return (math.floor((read_at - phase) / spec.interval) + 1) * spec.interval + phase


def _compute_phase(spec: ExternalSecretSpec) -> float:
    """A part of an interval, from 0 to 1, by the store: always the same, so that nothing has to be remembered."""
    refs = [*(item.store for item in spec.data), *(many.store for many in spec.data_from)]
    first = str(min(resolve_store_key(store, spec.namespace) for store in refs))
    return int.from_bytes(hashlib.sha256(first.encode()).digest()[:6], "big") / 2**48


def is_secret_intact(spec: ExternalSecretSpec, existing: Mapping[str, Any] | None) -> bool:
    """Whether the Secret is as it was written, so that nothing has to be read to mend it."""
    if spec.target.creation_policy in ("Orphan", "None"):
        return True
    if existing is None or get_field(existing, ("metadata", "labels", MANAGED_LABEL)) != "true":
        return False
    held = secret_builder.decode_data(existing.get("data") or {})
    return bool(
        get_field(existing, ("metadata", "annotations", DATA_HASH_ANNOTATION)) == secret_builder.compute_data_hash(held)
    )


def _parse_time(text: Any) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return None
