"""The controller for SealedSecrets: it creates the Secret of each, and corrects drift of that Secret.

Source: sealed-secrets `pkg/controller/controller.go`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gatekeeper.apply.changes import FIELD_MANAGER
from gatekeeper.cluster import object_status
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.controller.runtime.component import (
    Component,
    enqueue_objects,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.drift_watch import ObservedObject, is_drift, observe_object
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.controller.sealedsecrets.key_registry import KeyRegistry
from gatekeeper.errors import SecretFileError, ToolError
from gatekeeper.kube import conditions
from gatekeeper.kube.events import Event
from gatekeeper.model import NamespacedName, Object, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sealedsecrets import sealedsecret, target_secret

GROUP, VERSIONS, KIND = "bitnami.com", ("v1alpha1",), "SealedSecret"
WORKER_THREADS = 8
# The number of attempts to write a Secret that another client keeps changing.
MAX_TRIES = 3
# The pause until all objects have been listed.
SYNC_POLL_SECONDS = 0.2


class UnsealResult(NamedTuple):
    """The result of one reconcile, as status and event report it.

    Attributes:
        is_changed: whether the Secret was written.
    """

    is_synced: bool
    reason: str
    message: str
    is_changed: bool = False


class SealedSecretController:
    """Unseals all SealedSecrets of a cluster.

    Args:
        key_namespace: the namespace of the key Secrets.
        renew_days: the age at which a new key is created; 0 for never.
        is_assigned: whether this replica is responsible for a queue key.

    Attributes:
        key_registry: the keys.
        component: its running parts.

    Raises:
        ToolError: the cluster does not serve SealedSecrets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        key_namespace: str,
        renew_days: float,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._cluster = cluster
        self._kind = cluster.require_kind(GROUP, VERSIONS, KIND, "sealed-secrets")
        report_fault = partial(report_watch_fault, metrics, KIND)
        self.key_registry = KeyRegistry(cluster, key_namespace, renew_days, self.enqueue_all, report_fault)
        self._sealed_secret_reflector = Reflector(
            cluster, self._kind, strip_managed_fields, self._on_change, on_error=report_fault
        )
        # The watch of Secrets requests their metadata only, never a value.
        self._secret_reflector = Reflector(
            cluster,
            SECRETS,
            _observe_secret,
            self._on_secret_change,
            is_metadata_only=True,
            on_error=report_fault,
        )
        self._unseal_worker = Worker[NamespacedName](
            KIND, self._reconcile, WORKER_THREADS, metrics, lambda name: is_assigned(str(name))
        )
        self._renewal_worker = Worker[str]("sealing keys", lambda name: self._renew_key(), 1, metrics, is_assigned)
        reflectors: list[Reflector[Any]] = [
            self.key_registry.reflector,
            self._sealed_secret_reflector,
            self._secret_reflector,
        ]
        self.component = Component([self._unseal_worker, self._renewal_worker], reflectors, self.enqueue_all)

    def enqueue_all(self) -> None:
        """Queue every SealedSecret, and the check whether a new key is due."""
        self._renewal_worker.add("keys")
        enqueue_objects(self._sealed_secret_reflector, self._unseal_worker)

    def _renew_key(self) -> float:
        # Until all keys have been listed, a missing key may just be unknown.
        if not self.key_registry.reflector.is_synced.is_set():
            return SYNC_POLL_SECONDS
        return self.key_registry.renew_if_due()

    def _on_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self._unseal_worker.add(name)

    def _on_secret_change(self, name: NamespacedName, old: ObservedObject | None, new: ObservedObject | None) -> None:
        if old is not None and is_drift(old, new):
            self._unseal_worker.add(old.owner)
        elif old is None and new is not None and self._sealed_secret_reflector.get(name) is not None:
            # A new Secret with the name of a SealedSecret, which may have waited for it to be handed over.
            self._unseal_worker.add(name)

    def _reconcile(self, name: NamespacedName) -> float | None:
        value = self._sealed_secret_reflector.get(name)
        if value is None or get_field(value, ("metadata", "deletionTimestamp")):
            # The cluster deletes the Secret, because the SealedSecret owns it.
            return None
        if not (self._sealed_secret_reflector.is_synced.is_set() and self.key_registry.reflector.is_synced.is_set()):
            return SYNC_POLL_SECONDS
        try:
            unsealed = sealedsecret.unseal_secret(value, self.key_registry.list_keys())
        except SecretFileError as error:
            self._report(value, UnsealResult(False, "ErrUnsealFailed", str(error)))
            return None
        try:
            result = self._write(name, value, unsealed)
        except ApiStatusError as error:
            self._report(value, UnsealResult(False, "ErrUpdateFailed", str(error)))
            raise
        self._report(value, result)
        return None

    def _write(self, name: NamespacedName, value: Object, unsealed: Object) -> UnsealResult:
        """Write the Secret of a SealedSecret.

        Raises:
            ToolError: the cluster refuses or does not answer, or another client keeps changing the Secret.
        """
        for _ in range(MAX_TRIES):
            existing = self._cluster.get(SECRETS, *name)
            try:
                change = target_secret.decide_change(value, unsealed, existing)
                self._apply_change(change, existing)
            except SecretFileError as error:
                return UnsealResult(False, "ErrUpdateFailed", str(error))
            except ApiStatusError as error:
                if error.code in (CONFLICT, NOT_FOUND):
                    continue
                raise
            is_changed = change.action != "unchanged"
            return UnsealResult(True, "Unsealed", "SealedSecret unsealed successfully", is_changed)
        raise ToolError(f"Secret {name}: another client keeps changing it")

    def _apply_change(self, change: target_secret.SecretChange, existing: Object | None) -> None:
        if change.action == "create":
            self._cluster.create(SECRETS, change.secret, FIELD_MANAGER)
        elif change.action == "change":
            self._cluster.replace(SECRETS, change.secret, FIELD_MANAGER)
        elif change.action == "recreate" and existing is not None:
            metadata = existing["metadata"]
            self._cluster.delete(SECRETS, metadata["namespace"], metadata["name"], metadata["uid"])
            self._cluster.create(SECRETS, change.secret, FIELD_MANAGER)

    def _report(self, value: Object, result: UnsealResult) -> None:
        """Write the status, and an event about a change or a new failure."""
        now, generation = time.time(), get_field(value, ("metadata", "generation"))
        status, message = ("True", "") if result.is_synced else ("False", result.message)
        known = conditions.find_condition(value, "Synced")
        observed = get_field(value, ("status", "observedGeneration"))
        is_known = (known.get("status"), known.get("message") or "", observed) == (status, message, generation)
        if not is_known:
            condition = {
                "type": "Synced",
                "status": status,
                "message": message,
                "lastUpdateTime": conditions.format_time(now),
                "lastTransitionTime": conditions.get_transition_time(value, status, now, "Synced"),
            }
            live = self._cluster.get(self._kind, value["metadata"]["namespace"], value["metadata"]["name"])
            if live is not None:
                new_status = {"observedGeneration": generation, "conditions": [condition]}
                self._cluster.patch_status(self._kind, live, new_status)
        if not is_known or result.is_changed:
            event_type = "Normal" if result.is_synced else "Warning"
            event = Event(event_type, result.reason, result.message)
            object_status.create_events(self._cluster, value, [event], now)


def _observe_secret(value: Object) -> ObservedObject | None:
    """Return what is remembered of a Secret that a SealedSecret owns; None for any other."""
    for owner in get_field(value, ("metadata", "ownerReferences")) or ():
        if owner.get("kind") == KIND:
            return observe_object(NamespacedName(value["metadata"]["namespace"], owner["name"]), value)
    return None
