"""Rules of Kyverno policies, asked as a Rego engine is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.kyverno import conditions, match, patterns, variables
from gatekeeper.engines.admission.kyverno.rules import KyvernoRule
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego.loader import RegoModule
from gatekeeper.engines.rego.query_plan import RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import FieldPath, ObjectRef, Resource, get_field
from gatekeeper.protocols import QueryResult
from gatekeeper.render.manifests import build_ref

POD_REF = ObjectRef("v1", "Pod", "", "")


class KyvernoEvaluator:
    """Rules of Kyverno policies, asked as a Rego engine is: a query is a rule's, an input a resource."""

    def __init__(self, rules: Sequence[KyvernoRule], resources: Sequence[Resource], jobs: int) -> None:
        self._rules = {f"{rule.name} {severity}": rule for rule in rules for severity in rule.severities}
        self._namespaces = NamespaceIndex(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "kyverno", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """The rules as they are reported; one with several severities several times."""
        return {
            query: RuleQuery(rule.name, query.rpartition(" ")[2], "", (), _build_outline(rule))  # type: ignore[arg-type]
            for query, rule in self._rules.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a rule judges a resource, with the severity of the query.

        Raises:
            PolicyError: the rule's match is not known here.
            Unknown: that hangs on a namespace which the repository does not hold.
        """
        rule = self._rules[query]
        ref = resource.ref
        if rule.find_severity(ref.namespace) != query.rpartition(" ")[2]:
            return False
        if rule.namespace and rule.namespace != (ref.namespace or "default"):
            return False
        counted = POD_REF if ref.kind in rule.pod_controllers else ref
        if not match.is_match(rule.spec.get("match"), resource, counted, self._namespaces):
            return False
        excluded = rule.spec.get("exclude")
        if excluded and match.is_match(excluded, resource, counted, self._namespaces, is_exclude=True):
            return False
        if rule.cel_policy and rule.cel_policy.has_variable("namespaceObject") and ref.namespace:
            self._namespaces.find_object(ref.namespace)
        return not any(match.is_match(block, resource, ref, self._namespaces) for block in rule.exceptions)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        answers = []
        for number, (json, queries) in enumerate(inputs):
            value: Any = orjson.loads(json) if queries else None
            for query in queries:
                try:
                    said = list(self._evaluate_rule(self._rules[query], value))
                    error = ""
                except PolicyError as failure:
                    said, error = [], str(failure)
                if said or error:
                    answers.append(QueryResult(number, query, said, error))
        return answers

    def _evaluate_rule(self, rule: KyvernoRule, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What a rule says: messages, with the field where a pattern shows it."""
        prefix: FieldPath = ()
        ref = build_ref(value)
        if ref.kind in rule.pod_controllers:
            prefix = match.POD_CONTROLLERS[ref.kind]
            value = _build_pod(get_field(value, prefix), value)
        block = rule.spec["validate"]
        request = {**orjson.loads(admission_request.build_request_head(ref) + b"}"), "object": value, "oldObject": None}
        context = {"request": request}
        if rule.spec.get("preconditions") and not conditions.is_met(rule.spec["preconditions"], context):
            return
        message = _format_message(rule, context)
        if rule.method == "deny":
            if conditions.is_met(block["deny"].get("conditions") or [], context):
                yield {"msg": message}
        elif rule.cel_policy:
            row = {
                "object": orjson.dumps(value),
                "oldObject": b"null",
                "request": admission_request.build_request_head(ref) + b"}",
            }
            if rule.cel_policy.has_variable("namespaceObject"):
                row["namespaceObject"] = orjson.dumps(
                    self._namespaces.find_object(ref.namespace) if ref.namespace else None
                )
            [outcome] = rule.cel_policy.evaluate([row], self._jobs)
            if outcome.error:
                raise PolicyError(outcome.error)
            yield from ({"msg": told} for told in outcome.messages)
        else:
            choices = [block["pattern"]] if rule.method == "pattern" else block["anyPattern"]
            failed = _find_mismatch([variables.resolve_variables(choice, context) for choice in choices], value)
            if failed:
                yield {"msg": message or str(failed), "path": [*prefix, *failed.path]}

    def close(self) -> None:
        """Nothing was started."""


def _build_pod(template: Any, owner: Mapping[str, Any]) -> dict[str, Any]:
    """The Pod that a controller makes, as far as its template tells."""
    held = template if isinstance(template, dict) else {}
    home = get_field(owner, ("metadata", "namespace"))
    metadata = {**(held.get("metadata") or {}), **({"namespace": home} if home else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": held.get("spec") or {}}


def _find_mismatch(choices: Sequence[Any], value: Any) -> patterns.PatternMismatch | None:
    """Why a resource is like none of some patterns; None where it is like one, or where none is for it."""
    failed: patterns.PatternMismatch | None = None
    for choice in choices:
        try:
            patterns.require_match(value, choice)
            return None
        except patterns.PatternSkipped:
            continue
        except patterns.PatternMismatch as error:
            # The pattern that came furthest tells most.
            failed = error if failed is None or len(error.path) > len(failed.path) else failed
    return failed


def _format_message(rule: KyvernoRule, context: Mapping[str, Any]) -> str:
    message = rule.spec["validate"].get("message") or f"rule {rule.name} does not hold"
    try:
        return " ".join(str(variables.resolve_variables(message, context)).split())
    except PolicyError:
        # A message that cannot be put together is no reason not to tell.
        return " ".join(str(message).split())


def _build_outline(rule: KyvernoRule) -> RegoModule:
    """What the rule reads, as if the resource itself were its input."""
    text = rule.cel_policy.text if rule.cel_policy else orjson.dumps(rule.spec).decode()
    text = text.replace("request.object.", "input.").replace("object.", "input.")
    return RegoModule(rule.policy.origin.file, text, "", (), False, {})
