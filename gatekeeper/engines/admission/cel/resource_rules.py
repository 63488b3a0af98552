"""The resource rules of admission policies: which objects they select, and in which API version a policy sees them.

Source: apiserver `pkg/admission/plugin/policy/matching/matching.go` and
`pkg/admission/plugin/webhook/predicates/rules/rules.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.schema.kind_scopes import KUBERNETES_GROUPS, KindScopes, pluralize
from gatekeeper.engines.schema.served_versions import list_served_versions
from gatekeeper.model import ObjectRef
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.validation import list_validated_kinds

# The API server evaluates no admission policy on these kinds, so that a policy cannot lock out its correction.
EXEMPT_GROUP = "admissionregistration.k8s.io"
EXEMPT_KINDS = {
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
}


class ResourceRules:
    """Matches objects with resource rules.

    Args:
        scopes: the custom kinds, with their versions and plural names.
        client: the program that knows the built-in kinds of each API version.
        kubernetes: the version of Kubernetes, such as `1.34`.
    """

    def __init__(self, scopes: KindScopes, client: UpstreamClient, kubernetes: str) -> None:
        self._scopes = scopes
        self._client = client
        self._kubernetes = kubernetes
        self._equivalents: dict[tuple[str, str], Sequence[str]] = {}

    def find_version(self, match_spec: Mapping[str, Any], ref: ObjectRef) -> str | None:
        """The API version in which a policy with these rules sees the creation of an object; None if it does not.

        Raises:
            PolicyError: only the cluster can convert the object to that version.
        """
        if ref.group == EXEMPT_GROUP and ref.kind in EXEMPT_KINDS:
            return None
        is_exact = match_spec.get("matchPolicy") == "Exact"
        if self._find_rule(match_spec.get("excludeResourceRules") or [], ref, is_exact) is not None:
            return None
        rules = match_spec.get("resourceRules")
        version = self._find_rule(rules, ref, is_exact) if rules else ref.api_version
        if version not in (None, ref.api_version):
            self._scopes.check_conversion(ref, str(version))
        return version

    def _find_rule(self, rules: Sequence[Mapping[str, Any]], ref: ObjectRef, is_exact: bool) -> str | None:
        if not rules:
            return None
        plural = self.find_plural(ref)
        if any(_is_rule_match(rule, ref, ref.api_version, plural) for rule in rules):
            return ref.api_version
        for rule in () if is_exact else rules:
            for version in self._list_equivalents(ref):
                if _is_rule_match(rule, ref, version, plural):
                    return version
        return None

    def find_plural(self, ref: ObjectRef) -> str:
        """The name of a kind in addresses."""
        plurals = (one.plural for one in self._scopes.find_versions(ref.group, ref.kind))
        return next(filter(None, plurals), "") or pluralize(ref.kind)

    def _list_equivalents(self, ref: ObjectRef) -> Sequence[str]:
        """The other served API versions of the kind of an object."""
        key = ref.api_version, ref.kind
        if key not in self._equivalents:
            self._equivalents[key] = [one for one in self._list_served(ref) if one != ref.api_version]
        return self._equivalents[key]

    def _list_served(self, ref: ObjectRef) -> Sequence[str]:
        if ref.group not in KUBERNETES_GROUPS:
            custom = self._scopes.find_versions(ref.group, ref.kind)
            return list(dict.fromkeys(one.api_version for one in custom if one.is_served))
        served = list_served_versions(ref.group, ref.kind, self._kubernetes)
        if served is not None:
            return served
        stable = f"{ref.group}/v1" if ref.group else "v1"
        is_known = ref.api_version == stable or f"{stable}/{ref.kind}" in self._validated_kinds
        return [stable] if is_known else []

    @cached_property
    def _validated_kinds(self) -> frozenset[str]:
        return frozenset(list_validated_kinds(self._client)[0])


def _is_rule_match(rule: Mapping[str, Any], ref: ObjectRef, api_version: str, plural: str) -> bool:
    """Whether a rule selects the creation of an object in an API version."""
    group, _, version = api_version.rpartition("/")
    names = rule.get("resourceNames")
    return (
        _is_listed(rule, "operations", admission_request.OPERATION)
        and _is_listed(rule, "apiGroups", group)
        and _is_listed(rule, "apiVersions", version)
        and (not names or ref.name in names)
        and (rule.get("scope") in (None, "", "*") or (rule["scope"] == "Namespaced") == bool(ref.namespace))
        and any(_is_resource_listed(str(name), plural) for name in rule.get("resources") or [])
    )


def _is_resource_listed(pattern: str, plural: str) -> bool:
    """Whether `resources` selects objects of a kind themselves: their subresource is empty, which `*` matches, too."""
    name, _, subresource = pattern.partition("/")
    return name in ("*", plural) and subresource in ("", "*")


def _is_listed(rule: Mapping[str, Any], field: str, value: str) -> bool:
    return any(item in ("*", value) for item in rule.get(field) or [])
