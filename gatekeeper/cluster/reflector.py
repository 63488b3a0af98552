"""All objects of a kind as they are now: listed once, watched from there, and listed anew where a watch is lost.

Source: Kubernetes' API concepts, "Efficient detection of changes"; client-go `tools/cache/reflector.go`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from gatekeeper.cluster.dynamic_client import PAGE, Kind, Object, Objects, Refusal
from gatekeeper.errors import ToolError
from gatekeeper.model import at

GONE = 410
JSON = "application/json"
# Names, labels and owners alone: what is in an object is not kept, and never asked for.
SLIM = "application/json;as=PartialObjectMetadata{0};g=meta.k8s.io;v1,application/json"
# A server sends a bookmark about once a minute; a watch that is silent for longer is dead.
SILENCE = 150.0
SHORTEST, LONGEST = 240, 480
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
Name = tuple[str, str]
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
        cluster: Objects,
        kind: Kind,
        keep: Callable[[Object], T | None],
        tell: Callable[[Name, T | None, T | None], None],
        selector: str = "",
        is_slim: bool = False,
        fault: Callable[[str], None] = lambda reason: None,
        namespace: str = "",
    ) -> None:
        self.kind = kind
        # Set once the first list is there.
        self.is_synced = threading.Event()
        self._cluster, self._keep, self._tell, self._fault = cluster, keep, tell, fault
        self._params = {"labelSelector": selector} if selector else {}
        self._is_slim, self._namespace = is_slim, namespace
        self._held: dict[Name, T] = {}
        # Where to go on; empty where all has to be listed.
        self._version, self._heard = "", False
        self._stopped = threading.Event()

    def get(self, name: Name) -> T | None:
        """What is kept of an object; None where there is none."""
        return self._held.get(name)

    def all(self) -> list[tuple[Name, T]]:
        """What is kept of all, with their names."""
        return list(self._held.items())

    def start(self) -> None:
        """Begins to watch, beside what else is done."""
        threading.Thread(target=self._run, name=f"watch {self.kind.plural}", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch, as soon as it hears of anything."""
        self._stopped.set()

    def _run(self) -> None:
        pause, before = FIRST_PAUSE, ""
        while not self._stopped.is_set():
            self._heard = False
            try:
                self._version = self._version or self._list()
                self._watch()
                reason = ""
            except Refusal as error:
                # What happened since may not be known any more (410): all is listed anew.
                self._version, reason = "", "" if error.code == GONE else str(error)
            except ToolError as error:
                # Nothing is lost: it goes on from the last that was heard.
                reason = str(error)
            if self._heard or not reason:
                pause = FIRST_PAUSE
            if reason:
                # What goes on for long is said once.
                if reason != before:
                    self._fault(reason)
                self._stopped.wait(pause * random.uniform(0.5, 1.5))
                pause = min(LONGEST_PAUSE, pause * 2)
            before = reason

    def _list(self) -> str:
        """Lists all, tells what is another than before, and returns of which version of the cluster that is."""
        params, found, version = {**self._params, "limit": str(PAGE)}, dict[Name, T](), ""
        accept = SLIM.format("List") if self._is_slim else JSON
        while True:
            page = self._cluster.page(self.kind.path(self._namespace), params, accept)
            kind = str(page.get("kind")).removesuffix("List")
            for one in page.get("items") or ():
                whole = {"apiVersion": self.kind.api_version, "kind": kind, **one}
                held = self._keep(whole)
                if held is not None:
                    found[_name(whole)] = held
            about = page.get("metadata") or {}
            version = str(about.get("resourceVersion") or "")
            if not about.get("continue"):
                break
            params["continue"] = about["continue"]
        before, self._held = self._held, found
        for name in before.keys() | found.keys():
            if before.get(name) != found.get(name):
                self._tell(name, before.get(name), found.get(name))
        self.is_synced.set()
        return version

    def _watch(self) -> None:
        """Follows what happens until the server ends it, as it does now and then; notes where to go on."""
        params = {
            **self._params, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(SHORTEST, LONGEST)),
        }  # fmt: skip
        accept = SLIM.format("") if self._is_slim else JSON
        try:
            with self._cluster.lines(self.kind.path(self._namespace), params, accept, SILENCE) as lines:
                for line in lines:
                    self._version = self._happened(orjson.loads(line)) or self._version
                    self._heard = True
                    if self._stopped.is_set():
                        break
        except orjson.JSONDecodeError:
            # The connection was cut within a line.
            raise ToolError(f"the watch of {self.kind.plural}: the cluster says what is no JSON") from None

    def _happened(self, event: Object) -> str:
        """Takes in what happened; the version of it."""
        kind, value = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            raise Refusal(f"the watch of {self.kind.plural}: {value.get('message')}", int(value.get("code") or 0))
        version = str(at(value, ("metadata", "resourceVersion")) or "")
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            return version
        name = _name(value)
        before, now = self._held.get(name), self._keep(value) if kind != "DELETED" else None
        if now is None:
            self._held.pop(name, None)
        else:
            self._held[name] = now
        if before is not None or now is not None:
            self._tell(name, before, now)
        return version


def _name(value: Object) -> Name:
    metadata = value["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
