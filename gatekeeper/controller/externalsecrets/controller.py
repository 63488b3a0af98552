"""ExternalSecrets in a cluster: read when they are due, and at once when anything that they hang on is another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gatekeeper.cluster.dynamic_client import Kind, Object, Objects
from gatekeeper.cluster.external_secrets import GROUP, PLURALS, VERSIONS
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.cluster.store_credentials import InCluster
from gatekeeper.controller.externalsecrets import cluster_status, reloader
from gatekeeper.controller.runtime.component import Crew, lost
from gatekeeper.controller.runtime.predicates import asks, slim
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.controller.runtime.worker import Loop
from gatekeeper.controller.sealedsecrets.key_registry import SECRETS
from gatekeeper.errors import ToolError
from gatekeeper.externalsecrets import cluster_external_secret, collection
from gatekeeper.externalsecrets.access_rules import Rules
from gatekeeper.externalsecrets.collection import Found, Given, Spaces
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import StoreKey, key_of
from gatekeeper.externalsecrets.scheduler import Watch
from gatekeeper.kube.labels import Labels, labels_of
from gatekeeper.model import at
from gatekeeper.stores import registry as stores
from gatekeeper.stores.protocol import Store, StoreError

if TYPE_CHECKING:
    from lightkube import Client

NAMESPACES = Kind("v1", "namespaces", False)
# With nothing due it is looked again all the same; and what comes at once is taken together.
LONGEST, TOGETHER = 60.0, 0.1


class ExternalSecrets(Crew):
    """All ExternalSecrets, from the first look at them on.

    Args:
        client: of the same cluster.
        rules: who may fetch what; see `external.allowing`.

    Raises:
        ToolError: the cluster knows no ExternalSecrets.
    """

    def __init__(
        self, cluster: Objects, client: Client, rules: Rules, is_mine: Callable[[str], bool], figures: Figures
    ) -> None:
        self._cluster, self._client, self._rules, self._figures = cluster, client, rules, figures
        self._watches = {name: watch for name in PLURALS if (watch := self._watch(name)) is not None}
        if "ExternalSecret" not in self._watches:
            raise ToolError(f"the cluster knows no ExternalSecrets of {GROUP}: install its resource definitions")
        self._spaces = Reflector(
            cluster, NAMESPACES, _labels, lambda *_: self.all(), is_slim=True, fault=partial(lost, figures, "Namespace")
        )
        # Of all Secrets no more than that they are others: no value is asked for.
        self._secrets = Reflector(
            cluster, SECRETS, _version, self._secret, is_slim=True, fault=partial(lost, figures, "Secret")
        )
        self._loop = Loop[str]("ExternalSecret", lambda name: self._round(), 1, figures, is_mine)
        self._watch_ = Watch(self._opened)
        self._noting = threading.Lock()
        self._stale: set[StoreKey] = set()
        self._targets: frozenset[Name] = frozenset()
        self._sources: Mapping[Name, list[StoreKey]] = {}
        self._told: set[str] = set()
        # What came of each that was looked at: why it failed, or nothing.
        self._came: dict[Name, str] = {}
        super().__init__([*self._watches.values(), self._spaces, self._secrets], [self._loop], figures)

    def _watch(self, name: str) -> Reflector[Object] | None:
        kind = self._cluster.newest(GROUP, VERSIONS, name)
        if kind is None:
            return None
        return Reflector(
            self._cluster, kind, slim, partial(self._changed, name), fault=partial(lost, self._figures, name)
        )

    def all(self) -> None:
        """Looks at everything."""
        self._loop.add("all", TOGETHER)

    def stop(self, seconds: float) -> bool:
        """Ends; whether what was worked on came to its end in time."""
        is_ended = super().stop(seconds)
        self._watch_.close()
        return is_ended

    def _changed(self, kind: str, name: Name, before: Object | None, now: Object | None) -> None:
        if asks(before) == asks(now):
            return
        if kind.endswith("SecretStore") and before is not None:
            with self._noting:
                self._stale.add(StoreKey(kind, *name))
        self.all()

    def _secret(self, name: Name, before: str | None, now: str | None) -> None:
        if not self._secrets.is_synced.is_set():
            return
        signed = [key for key, value in self._stores() if _is_among(name, credentials_of(key, value))]
        signed += self._sources.get(name, ())
        if signed:
            with self._noting:
                self._stale.update(signed)
        if signed or name in self._targets:
            self.all()

    def _stores(self) -> Iterator[tuple[StoreKey, Object]]:
        for kind in ("SecretStore", "ClusterSecretStore"):
            if kind in self._watches:
                for name, value in self._watches[kind].all():
                    yield StoreKey(kind, *name), value

    def _round(self) -> float:
        """Reads what is due, and writes it.

        Raises:
            ToolError: the cluster does not answer.
        """
        if not self.is_synced:
            return TOGETHER
        with self._noting:
            stale, self._stale = self._stale, set()
        self._watch_.forget(stale)
        values = [value for watch in self._watches.values() for _, value in watch.all()]
        own = dict(self._watches["ExternalSecret"].all())
        things = (Given(one, one["metadata"].get("namespace") or "", lambda path: "") for one in values)
        spaces = Spaces({name: labels for (_, name), labels in self._spaces.all()}, True)
        found = collection.collected(things, spaces, self._rules)
        for one in found.refused:
            if str(one) not in self._told:
                say("error", one.reason, controller="ExternalSecret", object=f"{one.namespace}/{one.name}")
        self._told = {str(one) for one in found.refused}
        self._targets = frozenset((one.namespace, one.target.name) for one in found.wanted)
        self._sources = sources_of(found)
        done = self._watch_.round(self._client, found, own)
        self._tell(done.decisions)
        self._came |= {
            (one.wanted.namespace, one.wanted.name): one.reason if one.action == "failed" else ""
            for one in done.decisions
        }
        for value in values:
            if value["kind"] == cluster_external_secret.KIND:
                cluster_status.tell(self._cluster, value, spaces.known, self._came)
        return self._watch_.next(LONGEST)

    def _tell(self, decisions: Sequence[Decision]) -> None:
        changed: dict[str, set[str]] = {}
        for one in decisions:
            level = "error" if one.action == "failed" else "info"
            if one.action != "as it is":
                say(level, one.reason or one.action, controller="ExternalSecret", action=one.action,
                    object=f"{one.wanted.namespace}/{one.wanted.name}")  # fmt: skip
            if one.action == "change":
                changed.setdefault(one.wanted.namespace, set()).add(one.wanted.target.name)
        for namespace, names in changed.items():
            try:
                for workload in reloader.restart(self._cluster, namespace, names):
                    say(
                        "info",
                        "restarted: its Secret is another",
                        controller="ExternalSecret",
                        object=f"{namespace}/{workload}",
                    )
            except ToolError as error:
                say("error", str(error), controller="ExternalSecret", object=namespace)

    def _opened(self, key: StoreKey, value: Any) -> Store:
        if value is None:
            raise StoreError("is not in the cluster")
        return stores.opened(value, InCluster(self._client, key.namespace, key.kind == "SecretStore"))


def credentials_of(key: StoreKey, store: Object) -> set[Name]:
    """The Secrets that a store signs in with, or that vouch for it: whatever it names by name and key."""
    return set(_named(at(store, ("spec", "provider")), key.namespace))


def _is_among(name: Name, wanted: set[Name]) -> bool:
    # What names no namespace means that of whoever asks.
    return name in wanted or ("", name[1]) in wanted


def sources_of(found: Found) -> dict[Name, list[StoreKey]]:
    """The Secrets of a cluster that others are filled from, and the stores that they are read through."""
    known: dict[Name, list[StoreKey]] = {}
    for wanted in found.wanted:
        for item in wanted.items:
            key = key_of(item.store, wanted.namespace).object
            held = at(found.stores.get(key), ("spec", "provider", "kubernetes"))
            if isinstance(held, dict):
                known.setdefault((str(held.get("remoteNamespace") or "default"), item.remote.key), []).append(key)
    return known


def _named(value: Any, namespace: str) -> Iterator[Name]:
    if isinstance(value, list):
        for one in value:
            yield from _named(one, namespace)
    elif isinstance(value, Mapping):
        for name, held in value.items():
            is_ref = name.lower().endswith(("secretref", "secretkeyref", "secretaccesskeysecretref", "caprovider"))
            if isinstance(held, Mapping) and isinstance(held.get("name"), str) and (is_ref or "key" in held):
                yield str(held.get("namespace") or namespace), held["name"]
            yield from _named(held, namespace)


def _labels(value: Object) -> Labels:
    return labels_of(value)


def _version(value: Object) -> str:
    return str(value["metadata"].get("resourceVersion"))
