"""Which resources a Kyverno rule is for: `match`, `exclude`, and the controllers of Pods.

Source: https://kyverno.io/docs/policy-types/cluster-policy/match-exclude/ and .../autogen/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.engines.admission import admission_request, selectors
from gatekeeper.engines.admission.kyverno.patterns import is_wildcard_match
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected, read_labels
from gatekeeper.model import FieldPath, ObjectRef, Resource

FILTER_FIELDS = {
    "kinds",
    "name",
    "names",
    "namespaces",
    "annotations",
    "selector",
    "namespaceSelector",
    "operations",
}
USER_FIELDS = {"subjects", "roles", "clusterRoles"}
POD_TEMPLATE_PATH: FieldPath = ("spec", "template")
POD_CONTROLLERS: dict[str, FieldPath] = {
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"), POD_TEMPLATE_PATH
    ),
    "CronJob": ("spec", "jobTemplate", *POD_TEMPLATE_PATH),
}
AUTOGEN_ANNOTATION = "pod-policies.kyverno.io/autogen-controllers"


def is_match(
    block: Any, resource: Resource, effective_ref: ObjectRef, namespaces: NamespaceIndex, is_exclude: bool = False
) -> bool:
    """Whether a `match` or `exclude` takes in a resource.

    Args:
        effective_ref: what the resource counts as: itself, or a Pod where it makes Pods.

    Raises:
        PolicyError: the block is malformed or asks for what is not known here.
        Unknown: that hangs on a namespace which the repository does not hold.
    """
    if not isinstance(block, dict):
        raise PolicyError("`match` and `exclude` must be mappings")
    for key in block.keys() - {"any", "all", "resources", *USER_FIELDS}:
        raise PolicyError(f"`match` knows no `{key}`; there are any, all and resources")
    if block.get("any") is not None:
        return any(_is_entry_match(entry, resource, effective_ref, namespaces, is_exclude) for entry in block["any"])
    if block.get("all") is not None:
        return all(_is_entry_match(entry, resource, effective_ref, namespaces, is_exclude) for entry in block["all"])
    return bool(block) and _is_entry_match(block, resource, effective_ref, namespaces, is_exclude)


def _is_entry_match(
    entry: Any, resource: Resource, effective_ref: ObjectRef, namespaces: NamespaceIndex, is_exclude: bool
) -> bool:
    if not isinstance(entry, dict):
        raise PolicyError("an entry of `match` must be a mapping")
    users = [key for key in USER_FIELDS if entry.get(key)]
    if users and is_exclude:
        # Whoever applies the repository is nobody in particular: an exception for somebody is none here.
        return False
    if users:
        raise PolicyError(f"`match` by {', '.join(sorted(users))} asks who applies a resource; only the cluster knows")
    filters = entry.get("resources") or {}
    if not isinstance(filters, dict):
        raise PolicyError("`resources` must be a mapping")
    for key in filters.keys() - FILTER_FIELDS:
        raise PolicyError(f"`resources` knows no `{key}`; there are {', '.join(sorted(FILTER_FIELDS))}")
    return bool(filters) and _is_filter_match(filters, resource, effective_ref, namespaces)


def _is_filter_match(
    filters: Mapping[str, Any], resource: Resource, effective_ref: ObjectRef, namespaces: NamespaceIndex
) -> bool:
    kinds = selectors.parse_text_list(filters.get("kinds"), "kinds")
    names = (
        *selectors.parse_text_list(filters.get("names"), "names"),
        *([filters["name"]] if filters.get("name") else ()),
    )
    homes = selectors.parse_text_list(filters.get("namespaces"), "namespaces")
    operations = selectors.parse_text_list(filters.get("operations"), "operations")
    if (kinds and not any(is_kind(wanted, effective_ref) for wanted in kinds)) or (
        names and not any(is_wildcard_match(name, resource.ref.name) for name in names)
    ):
        return False
    if homes and not any(is_wildcard_match(home, namespaces.resolve_namespace(resource)) for home in homes):
        return False
    if operations and admission_request.OPERATION not in operations:
        return False
    noted = filters.get("annotations") or {}
    held = read_labels(resource.value, "annotations") if noted else {}
    for key, value in noted.items():
        if not any(
            is_wildcard_match(str(key), known) and is_wildcard_match(str(value), text) for known, text in held.items()
        ):
            return False
    return _is_selector_match(filters, resource, namespaces)


def _is_selector_match(filters: Mapping[str, Any], resource: Resource, namespaces: NamespaceIndex) -> bool:
    chosen = filters.get("selector")
    if chosen is not None and not _has_labels(chosen, read_labels(resource.value)):
        return False
    homes = filters.get("namespaceSelector")
    return homes is None or (
        bool(resource.ref.namespace) and namespaces.is_selected(homes, resource, "namespaceSelector")
    )


def _has_labels(selector: Any, labels: Mapping[str, str]) -> bool:
    """A label selector whose keys and values may hold wildcards."""
    wanted = selector.get("matchLabels") or {} if isinstance(selector, dict) else {}
    wild = {key: text for key, text in wanted.items() if set("*?") & set(f"{key}{text}")}
    met = all(
        any(is_wildcard_match(str(key), known) and is_wildcard_match(str(text), held) for known, held in labels.items())
        for key, text in wild.items()
    )
    rest = {key: text for key, text in wanted.items() if key not in wild}
    return met and is_selected({**selector, "matchLabels": rest} if wanted else selector, labels, "selector")


def is_kind(pattern: str, ref: ObjectRef) -> bool:
    """Whether a kind, written as `Pod`, `v1/Pod`, `apps/v1/Deployment` or with wildcards, is that of an object.

    Raises:
        PolicyError: it is written in another way.
    """
    version = ref.api_version.rpartition("/")[2]
    parts = pattern.split("/")
    if len(parts) > 1 and parts[-1][:1].islower():
        return False  # A subresource (`Pod/exec`, `*/scale`), which no file holds.
    if len(parts) == 1:
        return is_wildcard_match(parts[0], ref.kind)
    if len(parts) == 2:
        return is_wildcard_match(parts[0], version) and is_wildcard_match(parts[1], ref.kind)
    if len(parts) == 3:
        return (
            is_wildcard_match(parts[0], ref.group or "core")
            and is_wildcard_match(parts[1], version)
            and is_wildcard_match(parts[2], ref.kind)
        ) or (
            parts[0] == ""
            and not ref.group
            and is_wildcard_match(parts[1], version)
            and is_wildcard_match(parts[2], ref.kind)
        )
    raise PolicyError(f"the kind `{pattern}` is written in a way that is not known here")


def list_pod_controllers(rule: Mapping[str, Any], annotations: Mapping[str, str]) -> Sequence[str]:
    """The kinds that make Pods and are judged as such by a rule that is for Pods only."""
    chosen = annotations.get(AUTOGEN_ANNOTATION)
    if chosen == "none":
        return ()
    for block in (rule.get("match"), rule.get("exclude")):
        for filters in _list_filters(block):
            kinds = filters.get("kinds") or []
            if any(kind not in ("Pod", "v1/Pod") for kind in kinds):
                return ()
            if any(filters.get(key) for key in ("name", "names", "selector", "annotations")):
                return ()
    if chosen is None:
        return tuple(POD_CONTROLLERS)
    return tuple(name for word in chosen.split(",") if (name := word.strip()) in POD_CONTROLLERS)


def _list_filters(block: Any) -> list[Mapping[str, Any]]:
    entries = [block, *(block.get("any") or ()), *(block.get("all") or ())] if isinstance(block, dict) else []
    return [
        entry["resources"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resources"), dict)
    ]
