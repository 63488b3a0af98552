"""SealedSecrets in a cluster: each has its Secret, and has it again when somebody changes it.

Source: sealed-secrets `pkg/controller/controller.go`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gatekeeper.apply.changes import FIELD_MANAGER
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Object
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.controller.runtime.component import (
    Component,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.drift_watch import ObservedObject, is_drift, observe_object
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.controller.sealedsecrets.key_registry import KeyRegistry
from gatekeeper.errors import SealError, ToolError
from gatekeeper.kube import conditions
from gatekeeper.kube import events as kube_events
from gatekeeper.kube.events import Event
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field
from gatekeeper.sealedsecrets import sealedsecret, target_secret

GROUP, VERSIONS, KIND = "bitnami.com", ("v1alpha1",), "SealedSecret"
WORKER_THREADS = 8
# So often something is decided anew, because somebody else has changed it meanwhile.
MAX_TRIES = 3


class SealedSecretController:
    """All SealedSecrets, from the first look at them on.

    Args:
        namespace: where the keys are.
        renew_days: see `Keys`.
        is_mine: whether this replica follows one, by its name.

    Raises:
        ToolError: the cluster knows no SealedSecrets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        key_namespace: str,
        renew_days: float,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        kind = cluster.find_newest_kind(GROUP, VERSIONS, KIND)
        if kind is None:
            raise ToolError(f"the cluster knows no {KIND} of {GROUP}: install its resource definition")
        self._cluster, self._kind, self._metrics = cluster, kind, metrics
        self.key_registry = KeyRegistry(cluster, key_namespace, renew_days, self.enqueue_all, self._report_fault)
        self._sealed_secret_reflector = Reflector(
            cluster, kind, strip_managed_fields, self._on_change, on_error=self._report_fault
        )
        # Of all Secrets no more than whose they are: no value is asked for.
        self._secret_reflector = Reflector(
            cluster,
            SECRETS,
            _observe_secret,
            self._on_secret_change,
            is_metadata_only=True,
            on_error=self._report_fault,
        )
        self._unseal_worker = Worker[NamespacedName](
            KIND, self._reconcile, WORKER_THREADS, metrics, lambda name: is_assigned("/".join(name))
        )
        self._renewal_worker = Worker[str]("sealing keys", lambda name: self._renew_key(), 1, metrics, is_assigned)
        watches: list[Reflector[Any]] = [
            self.key_registry.reflector,
            self._sealed_secret_reflector,
            self._secret_reflector,
        ]
        self.component = Component([self._unseal_worker, self._renewal_worker], watches, self.enqueue_all)

    def enqueue_all(self) -> None:
        """Looks at everything: there is another key, or what was another's is ours now."""
        self._renewal_worker.add("keys")
        for name, _ in self._sealed_secret_reflector.list_objects():
            self._unseal_worker.add(name)

    def _renew_key(self) -> float:
        # Before all keys were seen it cannot be told that there is none.
        return self.key_registry.renew_if_due() if self.key_registry.reflector.is_synced.is_set() else 0.5

    def _on_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self._unseal_worker.add(name)

    def _on_secret_change(self, name: NamespacedName, old: ObservedObject | None, new: ObservedObject | None) -> None:
        # Whose it was, and whose it says that it is; and whose it would be by its name.
        if old is not None and is_drift(old, new):
            self._unseal_worker.add(old.owner)
        elif new is not None and self._sealed_secret_reflector.get(name) is not None and old is None:
            self._unseal_worker.add(name)

    def _report_fault(self, reason: str) -> None:
        report_watch_fault(self._metrics, KIND, reason)

    def _reconcile(self, name: NamespacedName) -> float | None:
        value = self._sealed_secret_reflector.get(name)
        if value is None or get_field(value, ("metadata", "deletionTimestamp")):
            # Its Secret hangs on it: the cluster takes it away.
            return None
        if not (self._sealed_secret_reflector.is_synced.is_set() and self.key_registry.reflector.is_synced.is_set()):
            return 0.2
        try:
            opened = sealedsecret.unseal_secret(value, self.key_registry.list_keys())
        except SealError as error:
            self._write_status(value, False, "ErrUnsealFailed", str(error))
            return None
        for _ in range(MAX_TRIES):
            existing = self._cluster.get(SECRETS, *name)
            try:
                found = target_secret.decide_change(value, opened, existing)
                self._write_secret(found, existing)
            except SealError as error:
                self._write_status(value, False, "ErrUpdateFailed", str(error))
                return None
            except ApiStatusError as error:
                if error.code in (CONFLICT, NOT_FOUND):
                    continue
                self._write_status(value, False, "ErrUpdateFailed", str(error))
                raise
            self._write_status(
                value, True, "Unsealed", "SealedSecret unsealed successfully", found.action != "as it is"
            )
            return None
        raise ToolError("somebody else changes the Secret again and again")

    def _write_secret(self, change: target_secret.SecretChange, existing: Object | None) -> None:
        if change.action == "create":
            self._cluster.create(SECRETS, change.secret, FIELD_MANAGER)
        elif change.action == "change":
            self._cluster.replace(SECRETS, change.secret, FIELD_MANAGER)
        elif change.action == "remake" and existing is not None:
            metadata = existing["metadata"]
            self._cluster.delete(SECRETS, metadata["namespace"], metadata["name"], metadata["uid"])
            self._cluster.create(SECRETS, change.secret, FIELD_MANAGER)

    def _write_status(
        self, value: Object, is_synced: bool, reason: str, message: str, should_emit_event: bool = True
    ) -> None:
        """Writes the status, and an event, where they are others than before."""
        status, now, generation = (
            "True" if is_synced else "False",
            time.time(),
            get_field(value, ("metadata", "generation")),
        )
        text = "" if is_synced else message
        held = conditions.find_condition(value, "Synced")
        seen = get_field(value, ("status", "observedGeneration"))
        is_same = (held.get("status"), held.get("message") or "", seen) == (status, text, generation)
        if not is_same:
            condition = {
                "type": "Synced",
                "status": status,
                "message": text,
                "lastUpdateTime": conditions.format_time(now),
                "lastTransitionTime": conditions.get_transition_time(value, status, now, "Synced"),
            }
            live = self._cluster.get(self._kind, value["metadata"]["namespace"], value["metadata"]["name"])
            if live is not None:
                self._cluster.patch_status(
                    self._kind, live, {"observedGeneration": generation, "conditions": [condition]}
                )
        if not is_same or (is_synced and should_emit_event):
            event = kube_events.build_event(Event("Normal" if is_synced else "Warning", reason, message), value, now)
            events = self._cluster.find_kind("v1", "Event")
            if events is not None:
                self._cluster.create(events, event)


def _observe_secret(value: Object) -> ObservedObject | None:
    """What is kept of a Secret that a SealedSecret has; nothing of any other."""
    for one in get_field(value, ("metadata", "ownerReferences")) or ():
        if one.get("kind") == KIND:
            return observe_object(NamespacedName(value["metadata"]["namespace"], one["name"]), value)
    return None
