"""Selects the resources that a Kyverno rule applies to: `match`, `exclude`, and the controllers of Pods.

Source: https://kyverno.io/docs/policy-types/cluster-policy/match-exclude/ and .../autogen/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.kyverno.patterns import is_wildcard_match
from gatekeeper.engines.admission.policy_fields import parse_texts, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected
from gatekeeper.model import FieldPath, ObjectRef, Resource, read_labels

FILTER_FIELDS = frozenset(
    {
        "kinds",
        "name",
        "names",
        "namespaces",
        "annotations",
        "selector",
        "namespaceSelector",
        "operations",
    }
)
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
    """Whether a `match` or `exclude` block selects a resource.

    Args:
        effective_ref: what the resource counts as: itself, or a Pod if the Pod template of a controller is checked.

    Raises:
        PolicyError: the block is malformed or uses an unsupported feature.
        UnknownNamespaceError: it depends on a namespace that the repository does not contain.
    """
    if not isinstance(block, dict):
        raise PolicyError("`match` and `exclude` must be mappings")
    for key in block.keys() - {"any", "all", "resources", *USER_FIELDS}:
        raise PolicyError(f"unknown field `{key}` in `match`; the fields are any, all and resources")
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
        # It is not known who applies the repository, so an exception for a user does not hold.
        return False
    if users:
        raise PolicyError(
            f"`match` by {', '.join(sorted(users))} is not supported: the user who applies a resource is known only in "
            "the cluster"
        )
    filters = entry.get("resources") or {}
    if not isinstance(filters, dict):
        raise PolicyError("`resources` must be a mapping")
    reject_unknown_fields(filters, FILTER_FIELDS, "`resources`")
    return bool(filters) and _is_filter_match(filters, resource, effective_ref, namespaces)


def _is_filter_match(
    filters: Mapping[str, Any], resource: Resource, effective_ref: ObjectRef, namespaces: NamespaceIndex
) -> bool:
    kinds = parse_texts(filters.get("kinds"), "kinds")
    names = (
        *parse_texts(filters.get("names"), "names"),
        *([filters["name"]] if filters.get("name") else ()),
    )
    home_patterns = parse_texts(filters.get("namespaces"), "namespaces")
    operations = parse_texts(filters.get("operations"), "operations")
    if (kinds and not any(is_kind(kind, effective_ref) for kind in kinds)) or (
        names and not any(is_wildcard_match(name, resource.ref.name) for name in names)
    ):
        return False
    namespace = namespaces.resolve_namespace(resource)
    if home_patterns and not any(is_wildcard_match(pattern, namespace) for pattern in home_patterns):
        return False
    if operations and admission_request.OPERATION not in operations:
        return False
    annotation_patterns = filters.get("annotations") or {}
    annotations = read_labels(resource.value, "annotations") if annotation_patterns else {}
    for key, value in annotation_patterns.items():
        if not any(
            is_wildcard_match(str(key), known) and is_wildcard_match(str(value), text)
            for known, text in annotations.items()
        ):
            return False
    return _is_selector_match(filters, resource, namespaces)


def _is_selector_match(filters: Mapping[str, Any], resource: Resource, namespaces: NamespaceIndex) -> bool:
    selector = filters.get("selector")
    if selector is not None and not _has_labels(selector, read_labels(resource.value)):
        return False
    namespace_selector = filters.get("namespaceSelector")
    return namespace_selector is None or (
        bool(resource.ref.namespace) and namespaces.is_selected(namespace_selector, resource, "namespaceSelector")
    )


def _has_labels(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether labels match a selector whose keys and values may contain wildcards."""
    match_labels = selector.get("matchLabels") or {} if isinstance(selector, dict) else {}
    wild = {key: text for key, text in match_labels.items() if set("*?") & set(f"{key}{text}")}
    has_wild = all(
        any(
            is_wildcard_match(str(key), known) and is_wildcard_match(str(text), value)
            for known, value in labels.items()
        )
        for key, text in wild.items()
    )
    plain = {key: text for key, text in match_labels.items() if key not in wild}
    return has_wild and is_selected(
        {**selector, "matchLabels": plain} if match_labels else selector, labels, "selector"
    )


def is_kind(pattern: str, ref: ObjectRef) -> bool:
    """Whether a pattern such as `Pod`, `v1/Pod`, `apps/v1/Deployment` or `*` matches the kind of an object.

    Raises:
        PolicyError: the pattern has another form.
    """
    version = ref.api_version.rpartition("/")[2]
    parts = pattern.split("/")
    if len(parts) > 1 and parts[-1][:1].islower():
        return False  # A subresource (`Pod/exec`, `*/scale`), which no file contains.
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
    raise PolicyError(f"the kind `{pattern}` has an unsupported form")


def list_pod_controllers(rule: Mapping[str, Any], annotations: Mapping[str, str]) -> Sequence[str]:
    """Lists the kinds whose Pod templates a rule for Pods also applies to."""
    setting = annotations.get(AUTOGEN_ANNOTATION)
    if setting == "none":
        return ()
    for block in (rule.get("match"), rule.get("exclude")):
        for filters in _list_filters(block):
            kinds = filters.get("kinds") or []
            if any(kind not in ("Pod", "v1/Pod") for kind in kinds):
                return ()
            if any(filters.get(key) for key in ("name", "names", "selector", "annotations")):
                return ()
    if setting is None:
        return tuple(POD_CONTROLLERS)
    return tuple(name for text in setting.split(",") if (name := text.strip()) in POD_CONTROLLERS)


def _list_filters(block: Any) -> list[Mapping[str, Any]]:
    entries = [block, *(block.get("any") or ()), *(block.get("all") or ())] if isinstance(block, dict) else []
    return [
        entry["resources"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resources"), dict)
    ]
