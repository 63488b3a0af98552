"""How an Application is synced, as it says for all that it applies, and as an object says for itself.

Source: argo-cd `docs/user-guide/sync-options.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.cluster.dynamic_client import Object, Propagation
from gatekeeper.errors import SpecError
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import ObjectRef

ANNOTATION_PREFIX = "argocd.argoproj.io/"
SYNC_OPTIONS, COMPARE_OPTIONS, IGNORE_HEALTH_CHECK = (
    f"{ANNOTATION_PREFIX}sync-options",
    f"{ANNOTATION_PREFIX}compare-options",
    f"{ANNOTATION_PREFIX}ignore-healthcheck",
)
HELM_RESOURCE_POLICY = "helm.sh/resource-policy"
# What each may be; the first is what is usual.
ALLOWED_VALUES: dict[str, tuple[str, ...]] = {
    "Validate": ("true", "false"),
    "CreateNamespace": ("false", "true"),
    "Prune": ("true", "false", "confirm"),
    "Delete": ("true", "false", "confirm"),
    "PrunePropagationPolicy": ("foreground", "background", "orphan"),
    "PruneLast": ("false", "true"),
    "ApplyOutOfSyncOnly": ("false", "true"),
    "Replace": ("false", "true"),
    "Force": ("false", "true"),
    "ServerSideApply": ("true", "false"),
    "ClientSideApplyMigration": ("true", "false"),
    "RespectIgnoreDifferences": ("false", "true"),
    "SkipDryRunOnMissingResource": ("false", "true"),
    "FailOnSharedResource": ("false", "true"),
    "DisableClientSideApplyMigration": ("false", "true"),
}
PROPAGATION_POLICIES: dict[str, Propagation] = {
    "foreground": "Foreground",
    "background": "Background",
    "orphan": "Orphan",
}


class SyncOptions(NamedTuple):
    """What counts for an object, or for an Application."""

    settings: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """What an option is."""
        return dict(self.settings).get(name, ALLOWED_VALUES[name][0])

    def is_enabled(self, name: str) -> bool:
        """Whether an option is on."""
        return self.get(name) == "true"

    @property
    def propagation(self) -> Propagation:
        """What becomes of what hangs on an object that is taken away."""
        return PROPAGATION_POLICIES[self.get("PrunePropagationPolicy")]

    def for_object(self, value: Object) -> SyncOptions:
        """What counts for an object: what it says itself counts before what is said for all.

        Raises:
            SpecError: it says what there is not.
        """
        own = read_labels(value, "annotations").get(SYNC_OPTIONS, "")
        kept = (
            ("Prune=false", "Delete=false")
            if read_labels(value, "annotations").get(HELM_RESOURCE_POLICY) == "keep"
            else ()
        )
        words = [one.strip() for one in own.split(",") if one.strip()]
        return SyncOptions((*self.settings, *parse_sync_options([*kept, *words], format_object(value)).settings))


def parse_sync_options(texts: Sequence[str], subject: str) -> SyncOptions:
    """Options as they are written.

    Args:
        subject: for messages.

    Raises:
        SpecError: one is not known.
    """
    found = []
    for word in texts:
        name, _, held = word.partition("=")
        if held not in ALLOWED_VALUES.get(name, ()):
            known = f"; it can be {', '.join(ALLOWED_VALUES[name])}" if name in ALLOWED_VALUES else ""
            raise SpecError(f"{subject}: the sync option `{word}` is not known{known}")
        found.append((name, held))
    return SyncOptions(tuple(found))


def is_extraneous(live: Object) -> bool:
    """Whether an object may be there without being in Git."""
    return "IgnoreExtraneous" in read_labels(live, "annotations").get(COMPARE_OPTIONS, "").split(",")


def is_health_ignored(live: Object) -> bool:
    """Whether the health of an object is nothing to that of its Application."""
    return read_labels(live, "annotations").get(IGNORE_HEALTH_CHECK) == "true"


def format_object(value: Object) -> str:
    """An object, for messages."""
    metadata = value.get("metadata") or {}
    return str(
        ObjectRef(value["apiVersion"], value["kind"], metadata.get("namespace") or "", metadata.get("name") or "")
    )
