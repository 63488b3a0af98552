"""Kyverno's ClusterPolicies and Policies, read: the rules that validate.

What a rule asks that is not known here is refused by name. Rules that change or make resources, and so judge none, are
noted. Source: `kyverno.io/v1` ClusterPolicy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gatekeeper.engines.admission import selectors
from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.kyverno import match, patterns
from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import Resource, Severity

GROUP = "kyverno.io"
KINDS = ("ClusterPolicy", "Policy")
SEVERITY_BY_ACTION: dict[str, Severity] = {"enforce": "error", "audit": "warning"}
RULE_FIELDS = {
    "name",
    "match",
    "exclude",
    "validate",
    "preconditions",
    "celPreconditions",
    "skipBackgroundRequests",
    "context",
}
MUTATION_FIELDS = {"mutate", "generate"}
VALIDATION_METHODS = ("pattern", "anyPattern", "deny", "cel")
VALIDATION_OPTIONS = {"message", "failureAction", "failureActionOverrides", "allowExistingViolations"}


class KyvernoRule(NamedTuple):
    """One rule that validates.

    Attributes:
        pod_controllers: kinds that make Pods, whose Pods it judges too.
        severity_overrides: for some namespaces another severity: (namespaces, severity).
        namespace: the only namespace whose resources it judges; empty for all.
        exceptions: the matches of PolicyExceptions for it.
    """

    name: str
    spec: Mapping[str, Any]
    method: str
    cel_policy: CelPolicy | None
    severity: Severity
    severity_overrides: tuple[tuple[tuple[str, ...], Severity], ...]
    pod_controllers: Sequence[str]
    namespace: str
    exceptions: Sequence[Any]
    policy: Resource

    @property
    def severities(self) -> list[Severity]:
        """All severities that its findings may have."""
        return list(dict.fromkeys([self.severity, *(severity for _, severity in self.severity_overrides)]))

    def find_severity(self, namespace: str) -> Severity:
        """The severity for a namespace."""
        for names, severity in self.severity_overrides:
            if any(patterns.is_wildcard_match(name, namespace) for name in names):
                return severity
        return self.severity


def is_policy(resource: Resource) -> bool:
    """Whether a resource is a policy of the kinds that are read here."""
    return resource.ref.group == GROUP and resource.ref.kind in KINDS


def parse_rules(policy: Resource, exceptions: Sequence[Resource], warnings: list[str]) -> Iterator[KyvernoRule]:
    """The rules of a policy that validate; what changes or makes resources is added to the notes.

    Raises:
        PolicyError: something in it is not known here.
    """
    spec = policy.value.get("spec") or {}
    annotations = read_labels(policy.value, "annotations")
    rules = spec.get("rules")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise PolicyError("`spec.rules` must be a list of rules")
    if spec.get("applyRules") == "One":
        raise PolicyError("`applyRules: One` is not known here")
    for rule in rules:
        name = f"{policy.ref.name}/{rule.get('name')}"
        if changing := MUTATION_FIELDS & rule.keys():
            warnings.append(
                f"rule {name} would {', '.join(sorted(changing))} resources; what comes of that is not judged"
            )
            continue
        if "verifyImages" in rule:
            raise PolicyError(f"rule {name} verifies the signatures of images, which needs their registry")
        try:
            yield _parse_rule(name, rule, spec, annotations, policy, exceptions)
        except PolicyError as error:
            raise PolicyError(f"rule {name}: {error}") from error


def _parse_rule(
    name: str,
    rule: Mapping[str, Any],
    spec: Mapping[str, Any],
    annotations: Mapping[str, str],
    policy: Resource,
    exceptions: Sequence[Resource],
) -> KyvernoRule:
    for key in rule.keys() - RULE_FIELDS:
        raise PolicyError(f"`{key}` is not known here")
    if rule.get("context"):
        raise PolicyError("`context` is not known here")
    block = rule.get("validate")
    if not isinstance(block, dict):
        raise PolicyError("it neither validates nor changes anything")
    ways = [way for way in block if way not in VALIDATION_OPTIONS]
    if len(ways) != 1 or ways[0] not in VALIDATION_METHODS:
        raise PolicyError(
            f"`validate` by {', '.join(ways) or 'nothing'} is not known here; there are {', '.join(VALIDATION_METHODS)}"
        )
    way = ways[0]
    overrides = block.get("failureActionOverrides") or spec.get("validationFailureActionOverrides") or []
    for entry in overrides:
        if entry.get("namespaceSelector"):
            raise PolicyError("`validationFailureActionOverrides.namespaceSelector` is not known here")
    action = block.get("failureAction") or spec.get("validationFailureAction") or "Audit"
    return KyvernoRule(
        name=name,
        spec=rule,
        method=way,
        cel_policy=_parse_cel(block["cel"], rule.get("celPreconditions")) if way == "cel" else None,
        severity=_parse_severity(action),
        severity_overrides=tuple(
            (selectors.parse_text_list(entry.get("namespaces"), "namespaces"), _parse_severity(entry.get("action")))
            for entry in overrides
        ),
        pod_controllers=match.list_pod_controllers(rule, annotations),
        namespace=policy.ref.namespace if policy.ref.kind == "Policy" else "",
        exceptions=[block for one in exceptions for block in _find_exceptions(one, policy.ref.name, rule)],
        policy=policy,
    )


def _parse_severity(action: Any) -> Severity:
    word = str(action).lower()
    if word not in SEVERITY_BY_ACTION:
        raise PolicyError(f"the failure action {action!r} is not known; there are Audit and Enforce")
    return SEVERITY_BY_ACTION[word]


def _parse_cel(block: Any, preconditions: Any) -> CelPolicy:
    if not isinstance(block, dict):
        raise PolicyError("`cel` must be a mapping")
    for key in block.keys() - {"expressions", "variables", "generate"}:
        raise PolicyError(f"`cel.{key}` is not known here")
    spec = {
        "variables": block.get("variables"),
        "matchConditions": preconditions,
        "validations": block.get("expressions"),
    }
    return CelPolicy(spec)


def _find_exceptions(exception: Resource, policy_name: str, rule: Mapping[str, Any]) -> Iterator[Any]:
    spec = exception.value.get("spec") or {}
    for entry in spec.get("exceptions") or []:
        names = entry.get("ruleNames") or []
        if entry.get("policyName") == policy_name and any(
            patterns.is_wildcard_match(name, str(rule.get("name"))) for name in names
        ):
            for key in spec.keys() - {"exceptions", "match", "background"}:
                raise PolicyError(f"PolicyException {exception.ref.name}: `{key}` is not known here")
            yield spec.get("match")
