"""Keeps a copy of all objects of a kind: lists them once, watches from there, and lists again after a lost watch.

Source: Kubernetes API concepts, "Efficient detection of changes"; client-go `tools/cache/reflector.go`.
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
from gatekeeper.model import NamespacedName, Object, get_field, name_of

GONE = 410
JSON_MEDIA_TYPE = "application/json"
# Metadata alone: the content of an object is neither requested nor kept.
METADATA_MEDIA_TYPE = "application/json;as=PartialObjectMetadata{0};g=meta.k8s.io;v1,application/json"
# A server sends a bookmark about once a minute: a watch that is silent for longer is dead.
MAX_SILENCE_SECONDS = 150.0
# The server ends each watch after a random time in this range, as client-go requests it.
MIN_WATCH_SECONDS, MAX_WATCH_SECONDS = 240, 480
BACKOFF = BackoffPolicy(0.25, 15.0, jitter=(0.5, 1.5))
T = TypeVar("T")


class Reflector(Generic[T]):
    """A copy of each object of a kind, by namespace and name.

    Args:
        transform: what is kept of an object; None to ignore the object.
        on_change: called with the name, and what was kept before and is kept now; None for nothing.
        selector: a label selector; empty for all objects.
        is_metadata_only: whether the metadata of the objects alone is requested.
        on_error: called with the reason when the cluster cannot be listed or watched.
        namespace: the only namespace; empty for all.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        kind: Kind,
        transform: Callable[[Object], T | None],
        on_change: Callable[[NamespacedName, T | None, T | None], None],
        selector: str = "",
        *,
        is_metadata_only: bool = False,
        on_error: Callable[[str], None] = lambda reason: None,
        namespace: str = "",
    ) -> None:
        self.kind = kind
        # Set after the first list.
        self.is_synced = threading.Event()
        self._cluster, self._transform, self._on_change, self._on_error = cluster, transform, on_change, on_error
        self._params = {"labelSelector": selector} if selector else {}
        self._path = kind.path(namespace)
        self._is_metadata_only = is_metadata_only
        self._items: dict[NamespacedName, T] = {}
        # The resourceVersion to watch from; empty if the objects have to be listed.
        self._version, self._has_received = "", False
        self._stopped = threading.Event()

    def get(self, name: NamespacedName) -> T | None:
        """The stored part of an object; None if the object does not exist."""
        return self._items.get(name)

    def list_objects(self) -> list[tuple[NamespacedName, T]]:
        """What is kept of all objects, with their names."""
        return list(self._items.items())

    def start(self) -> None:
        """Starts the watch in a separate thread."""
        threading.Thread(target=self._run, name=f"watch {self.kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch after its next event."""
        self._stopped.set()

    def _run(self) -> None:
        failures, last_reason = 0, ""
        while not self._stopped.is_set():
            self._has_received = False
            try:
                self._version = self._version or self._list()
                self._watch()
                reason = ""
            except ApiStatusError as error:
                # The server may not know the events since the last one any more (410): the objects are listed again.
                self._version, reason = "", "" if error.code == GONE else str(error)
            except ToolError as error:
                # The connection is lost, and no event with it: the watch continues from the last one.
                reason = str(error)
            if self._has_received or not reason:
                failures = 0
            if reason:
                # A reason that repeats is reported once.
                if reason != last_reason:
                    self._on_error(reason)
                failures += 1
                self._stopped.wait(BACKOFF.compute_pause(failures))
            last_reason = reason

    def _list(self) -> str:
        """Lists all objects and reports the changes; returns the resourceVersion of the list."""
        params, items = {**self._params, "limit": str(PAGE_SIZE)}, dict[NamespacedName, T]()
        while True:
            page = self._cluster.fetch_page(self._path, params, self._media_type("List"))
            kind = str(page.get("kind")).removesuffix("List")
            for item in page.get("items") or ():
                value = {"apiVersion": self.kind.api_version, "kind": kind, **item}
                kept = self._transform(value)
                if kept is not None:
                    items[name_of(value)] = kept
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            params["continue"] = metadata["continue"]
        previous, self._items = self._items, items
        for name in previous.keys() | items.keys():
            if previous.get(name) != items.get(name):
                self._on_change(name, previous.get(name), items.get(name))
        self.is_synced.set()
        return str(metadata.get("resourceVersion") or "")

    def _media_type(self, suffix: str = "") -> str:
        return METADATA_MEDIA_TYPE.format(suffix) if self._is_metadata_only else JSON_MEDIA_TYPE

    def _watch(self) -> None:
        """Follows the events until the server ends the watch, and remembers the resourceVersion of the last one."""
        params = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(MIN_WATCH_SECONDS, MAX_WATCH_SECONDS)),
        }
        try:
            with self._cluster.stream_lines(self._path, params, self._media_type(), MAX_SILENCE_SECONDS) as lines:
                for line in lines:
                    self._version = self._handle_event(orjson.loads(line)) or self._version
                    self._has_received = True
                    if self._stopped.is_set():
                        break
        except orjson.JSONDecodeError:
            # The connection was cut within a line.
            raise ToolError(f"the watch of {self.kind.plural}: the cluster sent an event that is not JSON") from None

    def _handle_event(self, event: Object) -> str:
        """Applies an event to the copy; returns its resourceVersion.

        Raises:
            ApiStatusError: the event is an error.
        """
        event_type, value = event.get("type"), event.get("object") or {}
        if event_type == "ERROR":
            message = f"the watch of {self.kind.plural}: {value.get('message')}"
            raise ApiStatusError(message, int(value.get("code") or 0))
        version = str(get_field(value, ("metadata", "resourceVersion")) or "")
        if event_type not in ("ADDED", "MODIFIED", "DELETED"):
            return version
        name = name_of(value)
        previous, kept = self._items.get(name), self._transform(value) if event_type != "DELETED" else None
        if kept is None:
            self._items.pop(name, None)
        else:
            self._items[name] = kept
        if previous is not None or kept is not None:
            self._on_change(name, previous, kept)
        return version
