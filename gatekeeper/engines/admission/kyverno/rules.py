"""Parses Kyverno's ClusterPolicies and Policies to the rules that validate.

A rule that uses an unsupported feature is refused by name. Rules that mutate or generate resources check nothing; they
give a warning.

Source: `kyverno.io/v1` ClusterPolicy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gatekeeper.engines.admission.cel_policies import CelPolicy
from gatekeeper.engines.admission.kyverno import match, patterns
from gatekeeper.engines.admission.policy_fields import parse_texts
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, Severity, read_labels

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
    """A rule that validates.

    Attributes:
        name: `POLICY/RULE`.
        spec: the rule as a mapping.
        method: one of VALIDATION_METHODS.
        cel_policy: the compiled expressions of the method `cel`.
        severity_overrides: other severities for some namespaces: (namespaces, severity).
        pod_controllers: kinds that create Pods, whose Pod templates the rule also applies to.
        namespace: the only namespace whose resources the rule applies to; empty for all.
        exceptions: the `match` blocks of PolicyExceptions for the rule.
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
        """All severities that findings of the rule can have."""
        return list(dict.fromkeys([self.severity, *(severity for _, severity in self.severity_overrides)]))

    def find_severity(self, namespace: str) -> Severity:
        """Finds the severity for a namespace."""
        for names, severity in self.severity_overrides:
            if any(patterns.is_wildcard_match(name, namespace) for name in names):
                return severity
        return self.severity


def is_policy(resource: Resource) -> bool:
    """Whether a resource is a policy of a supported kind."""
    return resource.ref.group == GROUP and resource.ref.kind in KINDS


def parse_rules(policy: Resource, exceptions: Sequence[Resource], warnings: list[str]) -> Iterator[KyvernoRule]:
    """Parses the rules of a policy that validate.

    Args:
        exceptions: all PolicyExceptions.
        warnings: receives a text for each rule that mutates or generates resources.

    Raises:
        PolicyError: the policy is malformed or uses an unsupported feature.
    """
    spec = policy.value.get("spec") or {}
    rules = spec.get("rules")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise PolicyError("`spec.rules` must be a list of rules")
    if spec.get("applyRules") == "One":
        raise PolicyError("`applyRules: One` is not supported")
    for rule in rules:
        name = f"{policy.ref.name}/{rule.get('name')}"
        if changing := MUTATION_FIELDS & rule.keys():
            actions = " and ".join(sorted(changing))
            warnings.append(f"rule {name} would {actions} resources; the resulting resources are not checked")
            continue
        if "verifyImages" in rule:
            raise PolicyError(f"rule {name}: `verifyImages` is not supported: it needs the registry of the images")
        try:
            yield _parse_rule(name, rule, policy, exceptions)
        except PolicyError as error:
            raise PolicyError(f"rule {name}: {error}") from error


def _parse_rule(name: str, rule: Mapping[str, Any], policy: Resource, exceptions: Sequence[Resource]) -> KyvernoRule:
    spec, annotations = policy.value.get("spec") or {}, read_labels(policy.value, "annotations")
    for key in rule.keys() - RULE_FIELDS:
        raise PolicyError(f"`{key}` is not supported")
    if rule.get("context"):
        raise PolicyError("`context` is not supported")
    validation = rule.get("validate")
    if not isinstance(validation, dict):
        raise PolicyError("the rule needs `validate`, `mutate` or `generate`")
    methods = [method for method in validation if method not in VALIDATION_OPTIONS]
    if len(methods) != 1 or methods[0] not in VALIDATION_METHODS:
        supported = f"one of {', '.join(VALIDATION_METHODS)}"
        raise PolicyError(f"`validate` must have {supported}, not {', '.join(methods) or 'nothing'}")
    method = methods[0]
    overrides = validation.get("failureActionOverrides") or spec.get("validationFailureActionOverrides") or []
    for entry in overrides:
        if entry.get("namespaceSelector"):
            raise PolicyError("`validationFailureActionOverrides.namespaceSelector` is not supported")
    action = validation.get("failureAction") or spec.get("validationFailureAction") or "Audit"
    return KyvernoRule(
        name=name,
        spec=rule,
        method=method,
        cel_policy=_parse_cel(validation["cel"], rule.get("celPreconditions")) if method == "cel" else None,
        severity=_parse_severity(action),
        severity_overrides=tuple(
            (parse_texts(entry.get("namespaces"), "namespaces"), _parse_severity(entry.get("action")))
            for entry in overrides
        ),
        pod_controllers=match.list_pod_controllers(rule, annotations),
        namespace=policy.ref.namespace if policy.ref.kind == "Policy" else "",
        exceptions=[block for exception in exceptions for block in _find_exceptions(exception, policy.ref.name, rule)],
        policy=policy,
    )


def _parse_severity(action: Any) -> Severity:
    severity = SEVERITY_BY_ACTION.get(str(action).lower())
    if severity is None:
        raise PolicyError(f"unknown failure action {action!r}; it can be Audit or Enforce")
    return severity


def _parse_cel(block: Any, preconditions: Any) -> CelPolicy:
    if not isinstance(block, dict):
        raise PolicyError("`cel` must be a mapping")
    for key in block.keys() - {"expressions", "variables", "generate"}:
        raise PolicyError(f"`cel.{key}` is not supported")
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
                raise PolicyError(f"PolicyException {exception.ref.name}: `{key}` is not supported")
            yield spec.get("match")
