"""Sync options of an Application, and of single objects by annotation.

Source: argo-cd `docs/user-guide/sync-options.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.cluster.dynamic_client import Propagation
from gatekeeper.errors import SpecError
from gatekeeper.model import Object, ObjectRef, read_labels
from gatekeeper.named_tuple import NamedTuple

ANNOTATION_PREFIX = "argocd.argoproj.io/"
SYNC_OPTIONS, COMPARE_OPTIONS, IGNORE_HEALTH_CHECK = (
    f"{ANNOTATION_PREFIX}sync-options",
    f"{ANNOTATION_PREFIX}compare-options",
    f"{ANNOTATION_PREFIX}ignore-healthcheck",
)
HELM_RESOURCE_POLICY = "helm.sh/resource-policy"
# The values of each option; the first is the default.
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
    """Options by name; a later setting overrides an earlier one."""

    settings: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return the value of an option."""
        return dict(self.settings).get(name, ALLOWED_VALUES[name][0])

    def is_enabled(self, name: str) -> bool:
        """Whether an option is `true`."""
        return self.get(name) == "true"

    @property
    def propagation(self) -> Propagation:
        """How the API server deletes the dependents of a pruned object."""
        return PROPAGATION_POLICIES[self.get("PrunePropagationPolicy")]

    def for_object(self, value: Object) -> SyncOptions:
        """Return the options of an object: its annotations override those of the Application.

        Raises:
            SpecError: an option of the object is unknown.
        """
        annotations = read_labels(value, "annotations")
        texts = [text.strip() for text in annotations.get(SYNC_OPTIONS, "").split(",") if text.strip()]
        kept = ("Prune=false", "Delete=false") if annotations.get(HELM_RESOURCE_POLICY) == "keep" else ()
        return SyncOptions((*self.settings, *parse_sync_options([*kept, *texts], format_object(value)).settings))


def parse_sync_options(texts: Sequence[str], subject: str) -> SyncOptions:
    """Decode options of the form `Name=value`.

    Args:
        subject: the object they belong to, for messages.

    Raises:
        SpecError: an option or its value is unknown.
    """
    settings = []
    for text in texts:
        name, _, value = text.partition("=")
        if name not in ALLOWED_VALUES:
            raise SpecError(f"{subject}: unknown sync option `{text}`; known are {', '.join(ALLOWED_VALUES)}")
        if value not in ALLOWED_VALUES[name]:
            raise SpecError(f"{subject}: invalid sync option `{text}`; use {', '.join(ALLOWED_VALUES[name])}")
        settings.append((name, value))
    return SyncOptions(tuple(settings))


def is_extraneous(live: Object) -> bool:
    """Whether an object may exist without being in Git (`IgnoreExtraneous`)."""
    return "IgnoreExtraneous" in read_labels(live, "annotations").get(COMPARE_OPTIONS, "").split(",")


def is_health_ignored(live: Object) -> bool:
    """Whether the health of an object does not count for its Application."""
    return read_labels(live, "annotations").get(IGNORE_HEALTH_CHECK) == "true"


def format_object(value: Object) -> str:
    """Format the name of an object for messages."""
    metadata = value.get("metadata") or {}
    return str(
        ObjectRef(value["apiVersion"], value["kind"], metadata.get("namespace") or "", metadata.get("name") or "")
    )
