"""What a Kustomization has applied: the inventory in its status, as Flux writes and reads it.

Source: kustomize-controller `internal/inventory`, cli-utils `pkg/object/objmetadata.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gatekeeper.apply.order import Object, group_of, sort_objects
from gatekeeper.model import get_field

# Names in this group may have a colon, which an id cannot.
RBAC_GROUP = "rbac.authorization.k8s.io"


class InventoryEntry(NamedTuple):
    """One object of an inventory."""

    namespace: str
    name: str
    group: str
    kind: str
    version: str

    @property
    def id(self) -> str:
        """As it stands in an inventory."""
        name = self.name.replace(":", "__") if self.group == RBAC_GROUP else self.name
        return f"{self.namespace}_{name}_{self.group}_{self.kind}"

    @property
    def api_version(self) -> str:
        """Group and version, as an object has them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def entry_of(value: Object) -> InventoryEntry:
    """The entry of an object."""
    version = str(value.get("apiVersion")).rpartition("/")[2]
    namespace, name = get_field(value, ("metadata", "namespace")) or "", get_field(value, ("metadata", "name")) or ""
    return InventoryEntry(str(namespace), str(name), group_of(value), str(value.get("kind")), version)


def parse_entry(record: Any) -> InventoryEntry | None:
    """An entry of a status; None where it is none."""
    text, version = get_field(record, ("id",)), get_field(record, ("v",))
    parts = text.split("_") if isinstance(text, str) else []
    if not isinstance(version, str) or len(parts) < len(InventoryEntry._fields) - 1:
        return None
    # Only a name that had a colon is split further.
    namespace, *names, group, kind = parts
    name = ":".join("_".join(names).split("__")) if group == RBAC_GROUP else "_".join(names)
    return InventoryEntry(namespace, name, group, kind, version)


def read_inventory(kustomization: Any) -> list[InventoryEntry]:
    """What an object's status says that it has applied."""
    held = get_field(kustomization, ("status", "inventory", "entries"))
    return [entry for one in (held if isinstance(held, list) else ()) if (entry := parse_entry(one))]


def list_removed(previous: Iterable[InventoryEntry], objects: Iterable[Object]) -> list[InventoryEntry]:
    """What was applied and is not any more, whatever its version."""
    kept = {entry_of(value).id for value in objects}
    return [entry for entry in previous if entry.id not in kept]


def sort_for_prune(entries: Iterable[InventoryEntry]) -> list[InventoryEntry]:
    """What is taken away, in the order in which it goes."""
    known = {one.id: one for one in entries}
    stubs = sort_objects({**build_stub(one), "id": one.id} for one in known.values())
    return [known[one["id"]] for one in reversed(stubs)]


def build_stub(entry: InventoryEntry) -> Object:
    """An object of which nothing is known but its name."""
    metadata = {"namespace": entry.namespace, "name": entry.name}
    return {"apiVersion": entry.api_version, "kind": entry.kind, "metadata": metadata}
