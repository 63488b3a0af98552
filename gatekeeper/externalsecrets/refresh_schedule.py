"""When an ExternalSecret is read again: the one schedule of `sync` and the controller.

ExternalSecrets with the same store and interval are due together, so that each secret is read once and one request
reads many. Different stores are due at different times, and a restart does not change these times. Source:
external-secrets `pkg/controllers/externalsecret/externalsecret_controller.go` (shouldRefresh),
`pkg/controllers/util/util.go`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gatekeeper.externalsecrets.fetch_plan import list_store_keys
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.target.data_hash import compute_data_hash, compute_go_hash
from gatekeeper.externalsecrets.target.ownership import DATA_HASH_ANNOTATION, is_managed
from gatekeeper.externalsecrets.target.value_transforms import decode_data
from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores.pool import Backoff

NEVER = math.inf


class LastSync(NamedTuple):
    """What this process remembers of the last sync of an ExternalSecret.

    Attributes:
        spec: the spec at that time; an ExternalSecret with another spec is due at once.
        read_at: when it was read, in seconds since 1970; None if it failed, or is due at once.
        is_in_sync: whether its Secret was up to date then, so that drift is corrected.
        backoff: the pause after a failure.
    """

    spec: ExternalSecretSpec
    read_at: float | None
    is_in_sync: bool
    backoff: Backoff | None


class ObservedState(NamedTuple):
    """What the cluster has of an ExternalSecret.

    Attributes:
        value: the ExternalSecret with its status; None for one that comes from a repository.
        secret: the Secret of its target; None if there is none.
        has_cluster: whether a cluster was looked at; without one, a missing Secret means nothing.
    """

    value: Any
    secret: Mapping[str, Any] | None
    has_cluster: bool = True


def is_due(
    spec: ExternalSecretSpec, state: ObservedState, last_sync: LastSync | None, now: float, monotonic_now: float
) -> bool:
    """Return whether an ExternalSecret is read now.

    The memory of this process counts first. Without it (at the first sync, or after a change of the spec) the
    status in the cluster counts, so that a restart causes no reads.

    Args:
        now: in seconds since 1970.
        monotonic_now: by `time.monotonic`.
    """
    if last_sync is None or last_sync.spec != spec:
        if state.value is None or compute_due_time(spec, state.value, now) <= now:
            return True
        return not is_secret_intact(spec, state.secret)
    if last_sync.backoff is not None:
        return monotonic_now >= last_sync.backoff.until
    if last_sync.is_in_sync and state.has_cluster and not is_secret_intact(spec, state.secret):
        return True
    if not last_sync.is_in_sync and spec.target.creation_policy == "Merge" and state.secret is not None:
        # The Secret that it waited for exists now.
        return True
    return compute_next_due_time(last_sync, now) <= now


def compute_wait(last_sync: LastSync, now: float, monotonic_now: float) -> float:
    """Return the seconds until an ExternalSecret is due again; may be negative or `NEVER`."""
    if last_sync.backoff is not None:
        return last_sync.backoff.until - monotonic_now
    return compute_next_due_time(last_sync, now) - now


def compute_synced_version(value: Any) -> str:
    """Return `syncedResourceVersion` of external-secrets: the generation, and a hash of labels and annotations."""
    maps = (get_field(value, ("metadata", field)) or {} for field in ("annotations", "labels"))
    annotations, labels = (
        " ".join(f"{key}:{entries[key]}" for key in sorted(entries, key=str.encode)) for entries in maps
    )
    text = f"{{annotations:map[{annotations}] labels:map[{labels}]}}"
    return f"{get_field(value, ('metadata', 'generation')) or 0}-{compute_go_hash(text)}"


def compute_due_time(spec: ExternalSecretSpec, value: Any, now: float) -> float:
    """Return when an ExternalSecret is due by its status: seconds since 1970, `now` for at once, or `NEVER`.

    Args:
        value: the object with its status, as it is in the cluster.
    """
    synced_version = get_field(value, ("status", "syncedResourceVersion")) or ""
    read_at = _parse_time(get_field(value, ("status", "refreshTime")))
    if not synced_version or read_at is None:
        return now
    if spec.refresh_policy == "CreatedOnce" or (spec.refresh_policy == "Periodic" and spec.interval <= 0):
        return NEVER
    if synced_version != compute_synced_version(value):
        return now
    if spec.refresh_policy == "OnChange":
        return NEVER
    # A time in the future means that a clock was wrong, here or where the status was written.
    if read_at > now:
        return now
    return compute_next_read(spec, read_at)


def compute_next_due_time(last_sync: LastSync, now: float) -> float:
    """Return when an ExternalSecret is due by what is remembered of it: seconds since 1970, or `NEVER`."""
    # A time in the future means that the clock was set back.
    if last_sync.read_at is None or last_sync.read_at > now:
        return now
    if last_sync.spec.refresh_policy != "Periodic" or last_sync.spec.interval <= 0:
        return NEVER
    return compute_next_read(last_sync.spec, last_sync.read_at)


def compute_next_read(spec: ExternalSecretSpec, read_at: float) -> float:
    """Return the first time after a read at which the store of an ExternalSecret is read, within its interval."""
    phase = _compute_phase(spec) * spec.interval
    return (math.floor((read_at - phase) / spec.interval) + 1) * spec.interval + phase


def _compute_phase(spec: ExternalSecretSpec) -> float:
    """Return the part of the interval, from 0 to 1, at which a store is read; it follows from the name of the store."""
    first_store = str(min(list_store_keys(spec)))
    return int.from_bytes(hashlib.sha256(first_store.encode()).digest()[:6], "big") / 2**48


def is_secret_intact(spec: ExternalSecretSpec, secret: Mapping[str, Any] | None) -> bool:
    """Return whether the Secret still has the data that was written, so that nothing must be corrected."""
    if spec.target.creation_policy in ("Orphan", "None"):
        return True
    if secret is None or not is_managed(secret):
        return False
    data_hash = compute_data_hash(decode_data(secret.get("data") or {}))
    return bool(get_field(secret, ("metadata", "annotations", DATA_HASH_ANNOTATION)) == data_hash)


def _parse_time(text: Any) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return None
