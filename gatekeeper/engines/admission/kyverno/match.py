"""Which resources a Kyverno rule is for: `match`, `exclude`, and the controllers of Pods.

Source: https://kyverno.io/docs/policy-types/cluster-policy/match-exclude/ and .../autogen/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.engines.admission import admission_request, selectors
from gatekeeper.engines.admission.kyverno.patterns import wildcard
from gatekeeper.engines.admission.selectors import Namespaces
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import labels_of, selects
from gatekeeper.model import FieldPath, Ref, Resource

FILTERS = {
    "kinds", "name", "names", "namespaces", "annotations", "selector", "namespaceSelector", "operations",
}  # fmt: skip
USERS = {"subjects", "roles", "clusterRoles"}
TEMPLATE: FieldPath = ("spec", "template")
CONTROLLERS: dict[str, FieldPath] = {
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"), TEMPLATE
    ),
    "CronJob": ("spec", "jobTemplate", *TEMPLATE),
}  # fmt: skip
CHOICE = "pod-policies.kyverno.io/autogen-controllers"


def chooses(block: Any, resource: Resource, kind: Ref, namespaces: Namespaces, is_exclude: bool = False) -> bool:
    """Whether a `match` or `exclude` takes in a resource.

    Args:
        kind: what the resource counts as: itself, or a Pod where it makes Pods.

    Raises:
        PolicyError: the block is malformed or asks for what is not known here.
        Unknown: that hangs on a namespace which the repository does not hold.
    """
    if not isinstance(block, dict):
        raise PolicyError("`match` and `exclude` must be mappings")
    for key in block.keys() - {"any", "all", "resources", *USERS}:
        raise PolicyError(f"`match` knows no `{key}`; there are any, all and resources")
    if block.get("any") is not None:
        return any(_one(entry, resource, kind, namespaces, is_exclude) for entry in block["any"])
    if block.get("all") is not None:
        return all(_one(entry, resource, kind, namespaces, is_exclude) for entry in block["all"])
    return bool(block) and _one(block, resource, kind, namespaces, is_exclude)


def _one(entry: Any, resource: Resource, kind: Ref, namespaces: Namespaces, is_exclude: bool) -> bool:
    if not isinstance(entry, dict):
        raise PolicyError("an entry of `match` must be a mapping")
    users = [key for key in USERS if entry.get(key)]
    if users and is_exclude:
        # Whoever applies the repository is nobody in particular: an exception for somebody is none here.
        return False
    if users:
        raise PolicyError(f"`match` by {', '.join(sorted(users))} asks who applies a resource; only the cluster knows")
    filters = entry.get("resources") or {}
    if not isinstance(filters, dict):
        raise PolicyError("`resources` must be a mapping")
    for key in filters.keys() - FILTERS:
        raise PolicyError(f"`resources` knows no `{key}`; there are {', '.join(sorted(FILTERS))}")
    return bool(filters) and _filtered(filters, resource, kind, namespaces)


def _filtered(filters: Mapping[str, Any], resource: Resource, kind: Ref, namespaces: Namespaces) -> bool:
    kinds = selectors.texts(filters.get("kinds"), "kinds")
    names = (*selectors.texts(filters.get("names"), "names"), *([filters["name"]] if filters.get("name") else ()))
    homes = selectors.texts(filters.get("namespaces"), "namespaces")
    operations = selectors.texts(filters.get("operations"), "operations")
    if (kinds and not any(is_kind(wanted, kind) for wanted in kinds)) or (
        names and not any(wildcard(name, resource.ref.name) for name in names)
    ):
        return False
    if homes and not any(wildcard(home, namespaces.of(resource)) for home in homes):
        return False
    if operations and admission_request.OPERATION not in operations:
        return False
    noted = filters.get("annotations") or {}
    held = labels_of(resource.value, "annotations") if noted else {}
    for key, value in noted.items():
        if not any(wildcard(str(key), known) and wildcard(str(value), text) for known, text in held.items()):
            return False
    return _selected(filters, resource, namespaces)


def _selected(filters: Mapping[str, Any], resource: Resource, namespaces: Namespaces) -> bool:
    chosen = filters.get("selector")
    if chosen is not None and not _labelled(chosen, labels_of(resource.value)):
        return False
    homes = filters.get("namespaceSelector")
    return homes is None or (bool(resource.ref.namespace) and namespaces.selected(homes, resource, "namespaceSelector"))


def _labelled(selector: Any, labels: Mapping[str, str]) -> bool:
    """A label selector whose keys and values may hold wildcards."""
    wanted = selector.get("matchLabels") or {} if isinstance(selector, dict) else {}
    wild = {key: text for key, text in wanted.items() if set("*?") & set(f"{key}{text}")}
    met = all(
        any(wildcard(str(key), known) and wildcard(str(text), held) for known, held in labels.items())
        for key, text in wild.items()
    )
    rest = {key: text for key, text in wanted.items() if key not in wild}
    return met and selects({**selector, "matchLabels": rest} if wanted else selector, labels, "selector")


def is_kind(wanted: str, ref: Ref) -> bool:
    """Whether a kind, written as `Pod`, `v1/Pod`, `apps/v1/Deployment` or with wildcards, is that of an object.

    Raises:
        PolicyError: it is written in another way.
    """
    version = ref.api_version.rpartition("/")[2]
    parts = wanted.split("/")
    if len(parts) > 1 and parts[-1][:1].islower():
        return False  # A subresource (`Pod/exec`, `*/scale`), which no file holds.
    if len(parts) == 1:
        return wildcard(parts[0], ref.kind)
    if len(parts) == 2:
        return wildcard(parts[0], version) and wildcard(parts[1], ref.kind)
    if len(parts) == 3:
        return (
            wildcard(parts[0], ref.group or "core") and wildcard(parts[1], version) and wildcard(parts[2], ref.kind)
        ) or (parts[0] == "" and not ref.group and wildcard(parts[1], version) and wildcard(parts[2], ref.kind))
    raise PolicyError(f"the kind `{wanted}` is written in a way that is not known here")


def controllers(rule: Mapping[str, Any], annotations: Mapping[str, str]) -> Sequence[str]:
    """The kinds that make Pods and are judged as such by a rule that is for Pods only."""
    chosen = annotations.get(CHOICE)
    if chosen == "none":
        return ()
    for block in (rule.get("match"), rule.get("exclude")):
        for filters in _all_filters(block):
            kinds = filters.get("kinds") or []
            if any(kind not in ("Pod", "v1/Pod") for kind in kinds):
                return ()
            if any(filters.get(key) for key in ("name", "names", "selector", "annotations")):
                return ()
    if chosen is None:
        return tuple(CONTROLLERS)
    return tuple(name for word in chosen.split(",") if (name := word.strip()) in CONTROLLERS)


def _all_filters(block: Any) -> list[Mapping[str, Any]]:
    entries = [block, *(block.get("any") or ()), *(block.get("all") or ())] if isinstance(block, dict) else []
    return [
        entry["resources"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resources"), dict)
    ]
