"""How an Application is synced, as it says for all that it applies, and as an object says for itself.

Source: argo-cd `docs/user-guide/sync-options.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.cluster.dynamic_client import Object, Propagation
from gatekeeper.errors import SealError
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import Ref

PREFIX = "argocd.argoproj.io/"
SYNC, COMPARE, UNCHECKED = f"{PREFIX}sync-options", f"{PREFIX}compare-options", f"{PREFIX}ignore-healthcheck"
HELM_KEEP = "helm.sh/resource-policy"
# What each may be; the first is what is usual.
KNOWN: dict[str, tuple[str, ...]] = {
    "Validate": ("true", "false"), "CreateNamespace": ("false", "true"), "Prune": ("true", "false", "confirm"),
    "Delete": ("true", "false", "confirm"), "PrunePropagationPolicy": ("foreground", "background", "orphan"),
    "PruneLast": ("false", "true"), "ApplyOutOfSyncOnly": ("false", "true"), "Replace": ("false", "true"),
    "Force": ("false", "true"), "ServerSideApply": ("true", "false"), "ClientSideApplyMigration": ("true", "false"),
    "RespectIgnoreDifferences": ("false", "true"), "SkipDryRunOnMissingResource": ("false", "true"),
    "FailOnSharedResource": ("false", "true"), "DisableClientSideApplyMigration": ("false", "true"),
}  # fmt: skip
PROPAGATIONS: dict[str, Propagation] = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}


class Options(NamedTuple):
    """What counts for an object, or for an Application."""

    words: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """What an option is."""
        return dict(self.words).get(name, KNOWN[name][0])

    def has(self, name: str) -> bool:
        """Whether an option is on."""
        return self.get(name) == "true"

    @property
    def propagation(self) -> Propagation:
        """What becomes of what hangs on an object that is taken away."""
        return PROPAGATIONS[self.get("PrunePropagationPolicy")]

    def of(self, value: Object) -> Options:
        """What counts for an object: what it says itself counts before what is said for all.

        Raises:
            SealError: it says what there is not.
        """
        own = labels_of(value, "annotations").get(SYNC, "")
        kept = ("Prune=false", "Delete=false") if labels_of(value, "annotations").get(HELM_KEEP) == "keep" else ()
        words = [one.strip() for one in own.split(",") if one.strip()]
        return Options((*self.words, *read([*kept, *words], shown(value)).words))


def read(words: Sequence[str], where: str) -> Options:
    """Options as they are written.

    Args:
        where: for messages.

    Raises:
        SealError: one is not known.
    """
    found = []
    for word in words:
        name, _, held = word.partition("=")
        if held not in KNOWN.get(name, ()):
            known = f"; it can be {', '.join(KNOWN[name])}" if name in KNOWN else ""
            raise SealError(f"{where}: the sync option `{word}` is not known{known}")
        found.append((name, held))
    return Options(tuple(found))


def is_extraneous(live: Object) -> bool:
    """Whether an object may be there without being in Git."""
    return "IgnoreExtraneous" in labels_of(live, "annotations").get(COMPARE, "").split(",")


def is_unchecked(live: Object) -> bool:
    """Whether the health of an object is nothing to that of its Application."""
    return labels_of(live, "annotations").get(UNCHECKED) == "true"


def shown(value: Object) -> str:
    """An object, for messages."""
    metadata = value.get("metadata") or {}
    return str(Ref(value["apiVersion"], value["kind"], metadata.get("namespace") or "", metadata.get("name") or ""))
