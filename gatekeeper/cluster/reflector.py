"""All objects of a kind as they are now: listed once, watched from there, and listed anew where a watch is lost.

Source: Kubernetes' API concepts, "Efficient detection of changes"; client-go `tools/cache/reflector.go`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from gatekeeper.cluster.dynamic_client import PAGE_SIZE, ApiStatusError, DynamicClient, Kind
from gatekeeper.errors import ToolError
from gatekeeper.host.backoff import BackoffPolicy
from gatekeeper.kube.objects import NamespacedName, Object, name_of
from gatekeeper.model import get_field

GONE = 410
JSON_MEDIA_TYPE = "application/json"
# Names, labels and owners alone: what is in an object is not kept, and never asked for.
METADATA_MEDIA_TYPE = "application/json;as=PartialObjectMetadata{0};g=meta.k8s.io;v1,application/json"
# A server sends a bookmark about once a minute; a watch that is silent for longer is dead.
MAX_SILENCE_SECONDS = 150.0
MIN_WATCH_SECONDS, MAX_WATCH_SECONDS = 240, 480
BACKOFF = BackoffPolicy(0.25, 15.0, jitter=(0.5, 1.5))
T = TypeVar("T")


class Reflector(Generic[T]):
    """What is kept of each object of a kind, by namespace and name.

    Args:
        keep: what of an object is kept; None where it is as good as not there.
        tell: is told the name, and what was kept before and is now; None where there is nothing.
        selector: of labels.
        is_slim: ask for the objects' metadata alone.
        fault: is told why the cluster could not be asked.
        namespace: the one that is looked at; empty for all.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        kind: Kind,
        transform: Callable[[Object], T | None],
        on_change: Callable[[NamespacedName, T | None, T | None], None],
        selector: str = "",
        is_metadata_only: bool = False,
        on_error: Callable[[str], None] = lambda reason: None,
        namespace: str = "",
    ) -> None:
        self.kind = kind
        # Set once the first list is there.
        self.is_synced = threading.Event()
        self._cluster, self._transform, self._on_change, self._on_error = cluster, transform, on_change, on_error
        self._params = {"labelSelector": selector} if selector else {}
        self._is_metadata_only, self._namespace = is_metadata_only, namespace
        self._items: dict[NamespacedName, T] = {}
        # Where to go on; empty where all has to be listed.
        self._version, self._has_received = "", False
        self._stopped = threading.Event()

    def get(self, name: NamespacedName) -> T | None:
        """What is kept of an object; None where there is none."""
        return self._items.get(name)

    def list_objects(self) -> list[tuple[NamespacedName, T]]:
        """What is kept of all, with their names."""
        return list(self._items.items())

    def start(self) -> None:
        """Begins to watch, beside what else is done."""
        threading.Thread(target=self._run, name=f"watch {self.kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch, as soon as it hears of anything."""
        self._stopped.set()

    def _run(self) -> None:
        failures, before = 0, ""
        while not self._stopped.is_set():
            self._has_received = False
            try:
                self._version = self._version or self._list()
                self._watch()
                reason = ""
            except ApiStatusError as error:
                # What happened since may not be known any more (410): all is listed anew.
                self._version, reason = "", "" if error.code == GONE else str(error)
            except ToolError as error:
                # Nothing is lost: it goes on from the last that was heard.
                reason = str(error)
            if self._has_received or not reason:
                failures = 0
            if reason:
                # What goes on for long is said once.
                if reason != before:
                    self._on_error(reason)
                failures += 1
                self._stopped.wait(BACKOFF.compute_pause(failures))
            before = reason

    def _list(self) -> str:
        """Lists all, tells what is another than before, and returns of which version of the cluster that is."""
        params, found, version = {**self._params, "limit": str(PAGE_SIZE)}, dict[NamespacedName, T](), ""
        accept = METADATA_MEDIA_TYPE.format("List") if self._is_metadata_only else JSON_MEDIA_TYPE
        while True:
            page = self._cluster.fetch_page(self.kind.path(self._namespace), params, accept)
            kind = str(page.get("kind")).removesuffix("List")
            for one in page.get("items") or ():
                whole = {"apiVersion": self.kind.api_version, "kind": kind, **one}
                held = self._transform(whole)
                if held is not None:
                    found[name_of(whole)] = held
            about = page.get("metadata") or {}
            version = str(about.get("resourceVersion") or "")
            if not about.get("continue"):
                break
            params["continue"] = about["continue"]
        before, self._items = self._items, found
        for name in before.keys() | found.keys():
            if before.get(name) != found.get(name):
                self._on_change(name, before.get(name), found.get(name))
        self.is_synced.set()
        return version

    def _watch(self) -> None:
        """Follows what happens until the server ends it, as it does now and then; notes where to go on."""
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(MIN_WATCH_SECONDS, MAX_WATCH_SECONDS)),
        }
        accept = METADATA_MEDIA_TYPE.format("") if self._is_metadata_only else JSON_MEDIA_TYPE
        try:
            with self._cluster.stream_lines(
                self.kind.path(self._namespace), params, accept, MAX_SILENCE_SECONDS
            ) as lines:
                for line in lines:
                    self._version = self._handle_event(orjson.loads(line)) or self._version
                    self._has_received = True
                    if self._stopped.is_set():
                        break
        except orjson.JSONDecodeError:
            # The connection was cut within a line.
            raise ToolError(f"the watch of {self.kind.plural}: the cluster says what is no JSON") from None

    def _handle_event(self, event: Object) -> str:
        """Takes in what happened; the version of it."""
        kind, value = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            raise ApiStatusError(
                f"the watch of {self.kind.plural}: {value.get('message')}", int(value.get("code") or 0)
            )
        version = str(get_field(value, ("metadata", "resourceVersion")) or "")
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            return version
        name = name_of(value)
        before, now = self._items.get(name), self._transform(value) if kind != "DELETED" else None
        if now is None:
            self._items.pop(name, None)
        else:
            self._items[name] = now
        if before is not None or now is not None:
            self._on_change(name, before, now)
        return version
