"""Rules of Kyverno policies, asked as a Rego engine is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.kyverno import conditions, match, patterns, variables
from gatekeeper.engines.admission.kyverno.rules import Rule
from gatekeeper.engines.admission.selectors import Namespaces
from gatekeeper.engines.rego.loader import Module
from gatekeeper.engines.rego.query_plan import Asked
from gatekeeper.errors import PolicyError
from gatekeeper.model import FieldPath, Ref, Resource, at
from gatekeeper.protocols import Answer
from gatekeeper.render.manifests import ref_of

POD = Ref("v1", "Pod", "", "")


class Rules:
    """Rules of Kyverno policies, asked as a Rego engine is: a query is a rule's, an input a resource."""

    def __init__(self, rules: Sequence[Rule], resources: Sequence[Resource], jobs: int) -> None:
        self._rules = {f"{rule.name} {severity}": rule for rule in rules for severity in rule.severities}
        self._namespaces = Namespaces(resources)
        self._jobs = jobs

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "kyverno", ""

    def asked(self) -> dict[str, Asked]:
        """The rules as they are reported; one with several severities several times."""
        return {
            query: Asked(rule.name, query.rpartition(" ")[2], "", (), _outline(rule))  # type: ignore[arg-type]
            for query, rule in self._rules.items()
        }

    def chooses(self, query: str, resource: Resource) -> bool:
        """Whether a rule judges a resource, with the severity of the query.

        Raises:
            PolicyError: the rule's match is not known here.
            Unknown: that hangs on a namespace which the repository does not hold.
        """
        rule = self._rules[query]
        ref = resource.ref
        if rule.severity_in(ref.namespace) != query.rpartition(" ")[2]:
            return False
        if rule.namespace and rule.namespace != (ref.namespace or "default"):
            return False
        counted = POD if ref.kind in rule.controllers else ref
        if not match.chooses(rule.block.get("match"), resource, counted, self._namespaces):
            return False
        excluded = rule.block.get("exclude")
        if excluded and match.chooses(excluded, resource, counted, self._namespaces, is_exclude=True):
            return False
        if rule.expressions and rule.expressions.reads("namespaceObject") and ref.namespace:
            self._namespaces.object(ref.namespace)
        return not any(match.chooses(block, resource, ref, self._namespaces) for block in rule.excepted)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[Answer]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        answers = []
        for number, (json, queries) in enumerate(inputs):
            value: Any = orjson.loads(json) if queries else None
            for query in queries:
                try:
                    said = list(self._judge(self._rules[query], value))
                    error = ""
                except PolicyError as failure:
                    said, error = [], str(failure)
                if said or error:
                    answers.append(Answer(number, query, said, error))
        return answers

    def _judge(self, rule: Rule, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What a rule says: messages, with the field where a pattern shows it."""
        prefix: FieldPath = ()
        ref = ref_of(value)
        if ref.kind in rule.controllers:
            prefix = match.CONTROLLERS[ref.kind]
            value = _pod(at(value, prefix), value)
        block = rule.block["validate"]
        request = {**orjson.loads(admission_request.request_of(ref) + b"}"), "object": value, "oldObject": None}
        context = {"request": request}
        if rule.block.get("preconditions") and not conditions.hold(rule.block["preconditions"], context):
            return
        message = _message(rule, context)
        if rule.way == "deny":
            if conditions.hold(block["deny"].get("conditions") or [], context):
                yield {"msg": message}
        elif rule.expressions:
            row = {
                "object": orjson.dumps(value),
                "oldObject": b"null",
                "request": admission_request.request_of(ref) + b"}",
            }
            if rule.expressions.reads("namespaceObject"):
                row["namespaceObject"] = orjson.dumps(self._namespaces.object(ref.namespace) if ref.namespace else None)
            [outcome] = rule.expressions.judge([row], self._jobs)
            if outcome.error:
                raise PolicyError(outcome.error)
            yield from ({"msg": told} for told in outcome.messages)
        else:
            choices = [block["pattern"]] if rule.way == "pattern" else block["anyPattern"]
            failed = _mismatch([variables.resolved(choice, context) for choice in choices], value)
            if failed:
                yield {"msg": message or str(failed), "path": [*prefix, *failed.path]}

    def close(self) -> None:
        """Nothing was started."""


def _pod(template: Any, owner: Mapping[str, Any]) -> dict[str, Any]:
    """The Pod that a controller makes, as far as its template tells."""
    held = template if isinstance(template, dict) else {}
    home = at(owner, ("metadata", "namespace"))
    metadata = {**(held.get("metadata") or {}), **({"namespace": home} if home else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": held.get("spec") or {}}


def _mismatch(choices: Sequence[Any], value: Any) -> patterns.Mismatch | None:
    """Why a resource is like none of some patterns; None where it is like one, or where none is for it."""
    failed: patterns.Mismatch | None = None
    for choice in choices:
        try:
            patterns.match(value, choice)
            return None
        except patterns.Skipped:
            continue
        except patterns.Mismatch as error:
            # The pattern that came furthest tells most.
            failed = error if failed is None or len(error.path) > len(failed.path) else failed
    return failed


def _message(rule: Rule, context: Mapping[str, Any]) -> str:
    message = rule.block["validate"].get("message") or f"rule {rule.name} does not hold"
    try:
        return " ".join(str(variables.resolved(message, context)).split())
    except PolicyError:
        # A message that cannot be put together is no reason not to tell.
        return " ".join(str(message).split())


def _outline(rule: Rule) -> Module:
    """What the rule reads, as if the resource itself were its input."""
    text = rule.expressions.text if rule.expressions else orjson.dumps(rule.block).decode()
    text = text.replace("request.object.", "input.").replace("object.", "input.")
    return Module(rule.policy.origin.file, text, "", (), False, {})
