"""Warnings about the types in expressions of ValidatingAdmissionPolicies, which a cluster writes into their status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson

from gatekeeper.engines.schema.api_server_messages import resolve_path
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.engines.schema.crds import encode_definition
from gatekeeper.engines.schema.kind_scopes import pluralize
from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Resource, get_field
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.type_check import TypeWarning, check_types

RULE = "schema/type-check"
HINT = "correct the expression: it fails on these objects, and refuses them unless `failurePolicy` is `Ignore`"
POLICY = ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
# A line of a warning with its kind, and the place in the expression that the next lines show.
LINE = compile_lazily(r"^(?:(.*), Kind=(\w+): )?ERROR: <input>:\d+:\d+: (.*)$", re.MULTILINE)


def check(
    client: UpstreamClient, resources: Sequence[Resource], catalog: SchemaCatalog
) -> tuple[list[Finding], list[Gap]]:
    """The warnings about the policies among resources, by the schemas of the kinds that they name."""
    policies = [
        resource
        for resource in resources
        if (resource.ref.group, resource.ref.kind) == POLICY and isinstance(resource.value.get("spec"), dict)
    ]
    if not policies:
        return [], []
    groups = sorted({group for policy in policies for group in _list_groups(policy)})
    definitions = [
        encode_definition(kind._replace(plural=kind.plural or pluralize(kind.kind)))
        for group in groups
        for kind in catalog.list_custom_kinds(group)
        if kind.schema is not None
    ]
    try:
        found = check_types(client, [orjson.dumps(policy.value["spec"]) for policy in policies], definitions)
    except ToolError as error:
        reason = f"the types in the expressions of ValidatingAdmissionPolicies were not checked: {error}"
        return [], [Gap(policies[0].origin.file, reason, is_fatal=True)]
    findings = [
        _build_finding(policy, warning)
        for policy, warnings in zip(policies, found, strict=True)
        for warning in warnings
    ]
    return findings, []


def _list_groups(policy: Resource) -> Iterator[str]:
    """The API groups that a policy names."""
    rules = get_field(policy.value, ("spec", "matchConstraints", "resourceRules"))
    for rule in rules if isinstance(rules, list) else ():
        groups = get_field(rule, ("apiGroups",))
        yield from (group for group in groups or () if isinstance(group, str))
    version = get_field(policy.value, ("spec", "paramKind", "apiVersion"))
    if isinstance(version, str):
        yield version.rpartition("/")[0]


def _build_finding(policy: Resource, warning: TypeWarning) -> Finding:
    path = resolve_path(warning.field, policy.value)
    reasons: dict[str, list[str]] = {}
    version, kind = "", ""
    for found_version, found_kind, reason in LINE.findall(warning.message):
        version, kind = found_version or version, found_kind or kind
        reasons.setdefault(reason, []).append(f"{kind} ({version})")
    texts = [f"{reason} for {', '.join(dict.fromkeys(kinds))}" for reason, kinds in reasons.items()]
    message = "; ".join(texts) or " ".join(warning.message.split())
    return policy.build_finding(RULE, f"the type check warns: {message}", path, hint=HINT, severity="warning")
