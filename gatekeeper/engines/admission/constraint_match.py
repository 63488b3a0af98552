"""Which resources a Gatekeeper constraint judges: `spec.match`.

Source: https://open-policy-agent.github.io/gatekeeper/website/docs/howto#the-match-field and `pkg/mutation/match`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gatekeeper.engines.admission import selectors
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import is_selected, read_labels
from gatekeeper.model import Resource

MATCH_FIELDS = {
    "kinds",
    "scope",
    "namespaces",
    "excludedNamespaces",
    "labelSelector",
    "namespaceSelector",
    "name",
    "source",
}


class ConstraintMatch(NamedTuple):
    """A `spec.match`, read; empty parts choose everything."""

    kinds: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    scope: str
    namespaces: tuple[str, ...]
    excluded_namespaces: tuple[str, ...]
    label_selector: Mapping[str, Any] | None
    namespace_selector: Mapping[str, Any] | None
    name: str
    source: str

    def is_match(self, resource: Resource, namespaces: NamespaceIndex) -> bool:
        """Whether the constraint judges a resource.

        Raises:
            Unknown: that hangs on a namespace which the repository does not hold.
        """
        ref = resource.ref
        if self.kinds and not any(
            _is_listed(groups, ref.group) and _is_listed(kinds, ref.kind) for groups, kinds in self.kinds
        ):
            return False
        if self.source == "Generated" or (self.name and not selectors.is_glob_match(self.name, ref.name)):
            return False
        if self.scope not in ("", "*") and (self.scope == "Namespaced") != bool(ref.namespace):
            return False
        inside = namespaces.resolve_namespace(resource)
        if inside and self.namespaces and not any(selectors.is_glob_match(name, inside) for name in self.namespaces):
            return False
        if inside and any(selectors.is_glob_match(name, inside) for name in self.excluded_namespaces):
            return False
        if self.label_selector is not None and not is_selected(
            self.label_selector, read_labels(resource.value), "match.labelSelector"
        ):
            return False
        wanted = self.namespace_selector
        return wanted is None or namespaces.is_selected(wanted, resource, "match.namespaceSelector")


def _is_listed(names: tuple[str, ...], name: str) -> bool:
    return not names or "*" in names or name in names


def parse_match(value: Any) -> ConstraintMatch:
    """A constraint's `spec.match`.

    Raises:
        PolicyError: it has a field or value that is not known.
    """
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise PolicyError("`match` must be a mapping")
    for field in value.keys() - MATCH_FIELDS:
        raise PolicyError(f"`match` knows no `{field}`; there are {', '.join(sorted(MATCH_FIELDS))}")
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
            is_selected(value[field], {}, f"match.{field}")
    return ConstraintMatch(
        tuple(
            (
                selectors.parse_text_list(entry.get("apiGroups"), "match.kinds.apiGroups"),
                selectors.parse_text_list(entry.get("kinds"), "match.kinds.kinds"),
            )
            for entry in kinds
        ),
        scope,
        selectors.parse_text_list(value.get("namespaces"), "match.namespaces"),
        selectors.parse_text_list(value.get("excludedNamespaces"), "match.excludedNamespaces"),
        value.get("labelSelector"),
        value.get("namespaceSelector"),
        str(value.get("name") or ""),
        source,
    )
