"""SealedSecrets in a cluster: each has its Secret, and has it again when somebody changes it.

Source: sealed-secrets `pkg/controller/controller.go`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gatekeeper.apply.server_side_apply import MANAGER
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, Object, Objects, Refusal
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.controller.runtime.component import Crew, lost
from gatekeeper.controller.runtime.drift_watch import Seen, is_drift, seen_of
from gatekeeper.controller.runtime.predicates import asks, slim
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.controller.runtime.worker import Loop
from gatekeeper.controller.sealedsecrets.key_registry import SECRETS, Keys
from gatekeeper.errors import SealError, ToolError
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import Told
from gatekeeper.model import at
from gatekeeper.sealedsecrets import sealedsecret, target_secret

GROUP, VERSIONS, KIND = "bitnami.com", ("v1alpha1",), "SealedSecret"
WORKERS = 8
# So often something is decided anew, because somebody else has changed it meanwhile.
TRIES = 3


class SealedSecrets(Crew):
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
        cluster: Objects,
        namespace: str,
        renew_days: float,
        is_mine: Callable[[str], bool],
        figures: Figures,
    ) -> None:
        kind = cluster.newest(GROUP, VERSIONS, KIND)
        if kind is None:
            raise ToolError(f"the cluster knows no {KIND} of {GROUP}: install its resource definition")
        self._cluster, self._kind, self._figures = cluster, kind, figures
        self.keys = Keys(cluster, namespace, renew_days, self.all, self._lost)
        self._sealed = Reflector(cluster, kind, slim, self._changed, fault=self._lost)
        # Of all Secrets no more than whose they are: no value is asked for.
        self._secrets = Reflector(cluster, SECRETS, _seen, self._touched, is_slim=True, fault=self._lost)
        self._opening = Loop[Name](KIND, self._open, WORKERS, figures, lambda name: is_mine("/".join(name)))
        self._renewing = Loop[str]("sealing keys", lambda name: self._renew(), 1, figures, is_mine)
        watches: list[Reflector[Any]] = [self.keys.watch, self._sealed, self._secrets]
        super().__init__(watches, [self._opening, self._renewing], figures)

    def all(self) -> None:
        """Looks at everything: there is another key, or what was another's is ours now."""
        self._renewing.add("keys")
        for name, _ in self._sealed.all():
            self._opening.add(name)

    def _renew(self) -> float:
        # Before all keys were seen it cannot be told that there is none.
        return self.keys.renew() if self.keys.watch.is_synced.is_set() else 0.5

    def _changed(self, name: Name, before: Object | None, now: Object | None) -> None:
        if asks(before) != asks(now):
            self._opening.add(name)

    def _touched(self, name: Name, before: Seen | None, now: Seen | None) -> None:
        # Whose it was, and whose it says that it is; and whose it would be by its name.
        if before is not None and is_drift(before, now):
            self._opening.add(before.owner)
        elif now is not None and self._sealed.get(name) is not None and before is None:
            self._opening.add(name)

    def _lost(self, reason: str) -> None:
        lost(self._figures, KIND, reason)

    def _open(self, name: Name) -> float | None:
        value = self._sealed.get(name)
        if value is None or at(value, ("metadata", "deletionTimestamp")):
            # Its Secret hangs on it: the cluster takes it away.
            return None
        if not (self._sealed.is_synced.is_set() and self.keys.watch.is_synced.is_set()):
            return 0.2
        try:
            opened = sealedsecret.unseal(value, self.keys.ring())
        except SealError as error:
            self._tell(value, False, "ErrUnsealFailed", str(error))
            return None
        for _ in range(TRIES):
            existing = self._cluster.get(SECRETS, *name)
            try:
                found = target_secret.target(value, opened, existing)
                self._write(found, existing)
            except SealError as error:
                self._tell(value, False, "ErrUpdateFailed", str(error))
                return None
            except Refusal as error:
                if error.code in (CONFLICT, NOT_FOUND):
                    continue
                self._tell(value, False, "ErrUpdateFailed", str(error))
                raise
            self._tell(value, True, "Unsealed", "SealedSecret unsealed successfully", found.action != "as it is")
            return None
        raise ToolError("somebody else changes the Secret again and again")

    def _write(self, found: target_secret.Target, existing: Object | None) -> None:
        if found.action == "create":
            self._cluster.create(SECRETS, found.secret, MANAGER)
        elif found.action == "change":
            self._cluster.replace(SECRETS, found.secret, MANAGER)
        elif found.action == "remake" and existing is not None:
            metadata = existing["metadata"]
            self._cluster.delete(SECRETS, metadata["namespace"], metadata["name"], metadata["uid"])
            self._cluster.create(SECRETS, found.secret, MANAGER)

    def _tell(self, value: Object, is_synced: bool, reason: str, message: str, is_news: bool = True) -> None:
        """Writes the status, and an event, where they are others than before."""
        status, now, generation = "True" if is_synced else "False", time.time(), at(value, ("metadata", "generation"))
        text = "" if is_synced else message
        held = conditions.condition_of(value, "Synced")
        seen = at(value, ("status", "observedGeneration"))
        is_same = (held.get("status"), held.get("message") or "", seen) == (status, text, generation)
        if not is_same:
            condition = {
                "type": "Synced", "status": status, "message": text, "lastUpdateTime": conditions.time_of(now),
                "lastTransitionTime": conditions.since(value, status, now, "Synced"),
            }  # fmt: skip
            live = self._cluster.get(self._kind, value["metadata"]["namespace"], value["metadata"]["name"])
            if live is not None:
                self._cluster.patch_status(
                    self._kind, live, {"observedGeneration": generation, "conditions": [condition]}
                )
        if not is_same or (is_synced and is_news):
            event = conditions.event(Told("Normal" if is_synced else "Warning", reason, message), value, now)
            events = self._cluster.kind("v1", "Event")
            if events is not None:
                self._cluster.create(events, event)


def _seen(value: Object) -> Seen | None:
    """What is kept of a Secret that a SealedSecret has; nothing of any other."""
    for one in at(value, ("metadata", "ownerReferences")) or ():
        if one.get("kind") == KIND:
            return seen_of((value["metadata"]["namespace"], one["name"]), value)
    return None
