"""The resources that a constraint of OPA Gatekeeper applies to: `spec.match`.

Source: https://open-policy-agent.github.io/gatekeeper/website/docs/howto#the-match-field and `pkg/mutation/match`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.engines.admission.policy_fields import parse_texts, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex, is_glob_match
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected
from gatekeeper.model import Resource, read_labels
from gatekeeper.named_tuple import NamedTuple

MATCH_FIELDS = frozenset(
    {
        "kinds",
        "scope",
        "namespaces",
        "excludedNamespaces",
        "labelSelector",
        "namespaceSelector",
        "name",
        "source",
    }
)


class ConstraintMatch(NamedTuple):
    """A parsed `spec.match`; an empty part selects everything.

    Attributes:
        kinds: pairs of API groups and kinds; one of them must match.
    """

    kinds: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    scope: str
    namespaces: tuple[str, ...]
    excluded_namespaces: tuple[str, ...]
    label_selector: Mapping[str, Any] | None
    namespace_selector: Mapping[str, Any] | None
    name: str
    source: str

    def is_match(self, resource: Resource, namespaces: NamespaceIndex) -> bool:
        """Whether the constraint applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        """
        ref = resource.ref
        if self.kinds and not any(
            _is_listed(groups, ref.group) and _is_listed(kinds, ref.kind) for groups, kinds in self.kinds
        ):
            return False
        if self.source == "Generated" or (self.name and not is_glob_match(self.name, ref.name)):
            return False
        if self.scope not in ("", "*") and (self.scope == "Namespaced") != bool(ref.namespace):
            return False
        namespace = namespaces.resolve_namespace(resource)
        if namespace and self.namespaces and not any(is_glob_match(name, namespace) for name in self.namespaces):
            return False
        if namespace and any(is_glob_match(name, namespace) for name in self.excluded_namespaces):
            return False
        if self.label_selector is not None and not is_selected(
            self.label_selector, read_labels(resource.value), "match.labelSelector"
        ):
            return False
        selector = self.namespace_selector
        return selector is None or namespaces.is_selected(selector, resource, "match.namespaceSelector")


def _is_listed(names: tuple[str, ...], name: str) -> bool:
    return not names or "*" in names or name in names


def parse_match(value: Any) -> ConstraintMatch:
    """Parses the `spec.match` of a constraint.

    Raises:
        PolicyError: it has an unknown field or value.
    """
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise PolicyError("`match` must be a mapping")
    reject_unknown_fields(value, MATCH_FIELDS, "`match`")
    kinds = value.get("kinds") or []
    if not isinstance(kinds, list) or not all(isinstance(entry, dict) for entry in kinds):
        raise PolicyError("`match.kinds` must be a list of mappings with apiGroups and kinds")
    scope, source = str(value.get("scope") or ""), str(value.get("source") or "")
    if scope not in ("", "*", "Cluster", "Namespaced"):
        raise PolicyError(f"`match.scope` is {scope!r}; it can be *, Cluster or Namespaced")
    if source not in ("", "All", "Generated", "Original"):
        raise PolicyError(f"`match.source` is {source!r}; it can be All, Generated or Original")
    for field in ("labelSelector", "namespaceSelector"):
        if value.get(field) is not None:
            is_selected(value[field], {}, f"match.{field}")  # Raises if the selector is malformed.
    return ConstraintMatch(
        kinds=tuple(
            (
                parse_texts(entry.get("apiGroups"), "match.kinds.apiGroups"),
                parse_texts(entry.get("kinds"), "match.kinds.kinds"),
            )
            for entry in kinds
        ),
        scope=scope,
        namespaces=parse_texts(value.get("namespaces"), "match.namespaces"),
        excluded_namespaces=parse_texts(value.get("excludedNamespaces"), "match.excludedNamespaces"),
        label_selector=value.get("labelSelector"),
        namespace_selector=value.get("namespaceSelector"),
        name=str(value.get("name") or ""),
        source=source,
    )
