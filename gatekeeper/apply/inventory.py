"""The inventory of a Kustomization in its status: which objects it has applied, in the format of Flux.

Source: kustomize-controller `internal/inventory`, cli-utils `pkg/object/objmetadata.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.apply.order import group_of, sort_objects
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

# Names in this group may contain a colon, which an id cannot.
RBAC_GROUP = "rbac.authorization.k8s.io"


class InventoryEntry(NamedTuple):
    """One object of an inventory; the namespace is empty for cluster-scoped objects."""

    namespace: str
    name: str
    group: str
    kind: str
    version: str

    @property
    def id(self) -> str:
        """The id in an inventory."""
        name = self.name.replace(":", "__") if self.group == RBAC_GROUP else self.name
        return f"{self.namespace}_{name}_{self.group}_{self.kind}"

    @property
    def api_version(self) -> str:
        """The `apiVersion` of the object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def entry_of(value: Object) -> InventoryEntry:
    """The entry of an object."""
    version = str(value.get("apiVersion")).rpartition("/")[2]
    namespace, name = get_field(value, ("metadata", "namespace")) or "", get_field(value, ("metadata", "name")) or ""
    return InventoryEntry(str(namespace), str(name), group_of(value), str(value.get("kind")), version)


def parse_entry(record: Any) -> InventoryEntry | None:
    """An entry of an inventory in a status; None if it is malformed."""
    text, version = get_field(record, ("id",)), get_field(record, ("v",))
    parts = text.split("_") if isinstance(text, str) else []
    if not isinstance(version, str) or len(parts) < len(InventoryEntry._fields) - 1:
        return None
    # A name may contain underscores of its own.
    namespace, *names, group, kind = parts
    name = ":".join("_".join(names).split("__")) if group == RBAC_GROUP else "_".join(names)
    return InventoryEntry(namespace, name, group, kind, version)


def read_inventory(kustomization: Any) -> list[InventoryEntry]:
    """The inventory in the status of a Kustomization; malformed entries are left out."""
    records = get_field(kustomization, ("status", "inventory", "entries"))
    return [entry for record in (records if isinstance(records, list) else ()) if (entry := parse_entry(record))]


def list_removed(previous: Iterable[InventoryEntry], objects: Iterable[Object]) -> list[InventoryEntry]:
    """The entries whose objects are not applied any more, in any version."""
    kept = {entry_of(value).id for value in objects}
    return [entry for entry in previous if entry.id not in kept]


def sort_for_prune(entries: Iterable[InventoryEntry]) -> list[InventoryEntry]:
    """Entries in the order in which they are deleted."""
    by_id = {entry.id: entry for entry in entries}
    stubs = sort_objects({**build_stub(entry), "id": entry.id} for entry in by_id.values())
    return [by_id[stub["id"]] for stub in reversed(stubs)]


def build_stub(entry: InventoryEntry) -> Object:
    """An object with no fields but its kind and name."""
    metadata = {"namespace": entry.namespace, "name": entry.name}
    return {"apiVersion": entry.api_version, "kind": entry.kind, "metadata": metadata}
