"""Evaluates rules of Kyverno policies like a Rego engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.kyverno import conditions, match, patterns, variables
from gatekeeper.engines.admission.kyverno.rules import KyvernoRule
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.model import RegoModule, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import FieldPath, ObjectRef, Resource, build_ref, get_field
from gatekeeper.protocols import QueryResult

POD_REF = ObjectRef("v1", "Pod", "", "")


class KyvernoEvaluator:
    """Rules of Kyverno policies, evaluated like a Rego engine: a query is a rule with its severity."""

    def __init__(self, rules: Sequence[KyvernoRule], resources: Sequence[Resource], jobs: int) -> None:
        self._rules = {f"{rule.name} {severity}": rule for rule in rules for severity in rule.severities}
        self._namespaces = NamespaceIndex(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "kyverno", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rules by query; one with several severities has several queries."""
        return {
            query: RuleQuery(rule.name, query.rpartition(" ")[2], "", (), _build_outline(rule))  # type: ignore[arg-type]
            for query, rule in self._rules.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a rule applies to a resource with the severity of the query.

        Raises:
            PolicyError: the match of the rule is malformed or unsupported.
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        """
        rule = self._rules[query]
        ref = resource.ref
        if rule.find_severity(ref.namespace) != query.rpartition(" ")[2]:
            return False
        if rule.namespace and rule.namespace != (ref.namespace or "default"):
            return False
        effective_ref = POD_REF if ref.kind in rule.pod_controllers else ref
        if not match.is_match(rule.spec.get("match"), resource, effective_ref, self._namespaces):
            return False
        excluded = rule.spec.get("exclude")
        if excluded and match.is_match(excluded, resource, effective_ref, self._namespaces, is_exclude=True):
            return False
        if rule.cel_policy and rule.cel_policy.has_variable("namespaceObject") and ref.namespace:
            self._namespaces.find_object(ref.namespace)
        return not any(match.is_match(block, resource, ref, self._namespaces) for block in rule.exceptions)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        results = []
        for number, (json, queries) in enumerate(inputs):
            value: Any = orjson.loads(json) if queries else None
            for query in queries:
                try:
                    items = list(self._evaluate_rule(self._rules[query], value))
                    if items:
                        results.append(QueryResult(number, query, items, ""))
                except PolicyError as error:
                    results.append(QueryResult(number, query, [], str(error)))
        return results

    def _evaluate_rule(self, rule: KyvernoRule, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yields the messages of a rule, each with the field if a pattern identifies it."""
        prefix: FieldPath = ()
        ref = build_ref(value)
        if ref.kind in rule.pod_controllers:
            prefix = match.POD_CONTROLLERS[ref.kind]
            value = _build_pod(get_field(value, prefix), value)
        validation = rule.spec["validate"]
        head = admission_request.build_request_head(ref) + b"}"
        context = {"request": {**orjson.loads(head), "object": value, "oldObject": None}}
        if rule.spec.get("preconditions") and not conditions.is_met(rule.spec["preconditions"], context):
            return
        message = _format_message(rule, context)
        if rule.method == "deny":
            if conditions.is_met(validation["deny"].get("conditions") or [], context):
                yield {"msg": message}
        elif rule.cel_policy:
            bindings = {"object": orjson.dumps(value), "oldObject": b"null", "request": head}
            if rule.cel_policy.has_variable("namespaceObject"):
                namespace = self._namespaces.find_object(ref.namespace) if ref.namespace else None
                bindings["namespaceObject"] = orjson.dumps(namespace)
            [result] = rule.cel_policy.evaluate([bindings], self._jobs)
            if result.error:
                raise PolicyError(result.error)
            yield from ({"msg": text} for text in result.messages)
        else:
            choices = [validation["pattern"]] if rule.method == "pattern" else validation["anyPattern"]
            mismatch = _find_mismatch([variables.resolve_variables(choice, context) for choice in choices], value)
            if mismatch:
                yield {"msg": message or str(mismatch), "path": [*prefix, *mismatch.path]}

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; there is nothing to end."""


def _build_pod(template: Any, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Builds the Pod that a controller creates from a template."""
    fields = template if isinstance(template, dict) else {}
    namespace = get_field(owner, ("metadata", "namespace"))
    metadata = {**(fields.get("metadata") or {}), **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": fields.get("spec") or {}}


def _find_mismatch(choices: Sequence[Any], value: Any) -> patterns.PatternMismatch | None:
    """Finds why a resource matches no pattern; None if it matches one, or if all of them are skipped."""
    deepest: patterns.PatternMismatch | None = None
    for choice in choices:
        try:
            patterns.require_match(value, choice)
            return None
        except patterns.PatternSkipped:
            continue
        except patterns.PatternMismatch as error:
            # The mismatch deepest in the resource says most.
            deepest = error if deepest is None or len(error.path) > len(deepest.path) else deepest
    return deepest


def _format_message(rule: KyvernoRule, context: Mapping[str, Any]) -> str:
    message = rule.spec["validate"].get("message") or f"the resource breaks the rule {rule.name}"
    try:
        return " ".join(str(variables.resolve_variables(message, context)).split())
    except PolicyError:
        # A message with a variable that cannot be resolved must not hide the finding.
        return " ".join(str(message).split())


def _build_outline(rule: KyvernoRule) -> RegoModule:
    """Builds text that reads the fields of the rule from `input`, for tracing the fields of findings."""
    text = rule.cel_policy.text if rule.cel_policy else orjson.dumps(rule.spec).decode()
    text = text.replace("request.object.", "input.").replace("object.", "input.")
    return RegoModule(path=rule.policy.origin.file, text=text, package="", rules=(), is_v0=False, metadata={})
