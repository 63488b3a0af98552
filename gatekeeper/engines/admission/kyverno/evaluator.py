"""Evaluates Kyverno policies like a Rego engine: a query is a rule with its severity.

Source: Kyverno 1.19 (`pkg/engine`, `pkg/cel/policies`), which decides in the program `gatekeeper-kyverno`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission.kyverno.program import KyvernoProgram
from gatekeeper.engines.admission.kyverno.results import LOST, UNKNOWN_NAMESPACE, PolicyDescription, RuleResult
from gatekeeper.engines.admission.selectors import UnknownNamespaceError
from gatekeeper.engines.rego.model import RegoModule, RuleQuery
from gatekeeper.errors import PolicyError
from gatekeeper.model import FieldPath, Resource, Severity
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.protocols import QueryResult

CLASSIC_GROUP = "kyverno.io"


class KyvernoRule(NamedTuple):
    """A rule that validates; the rule of a policy in CEL has an empty name."""

    position: int
    policy: Resource
    rule: str

    @property
    def name(self) -> str:
        """The name of its findings: `POLICY/RULE`, or `KIND/POLICY` for a policy in CEL."""
        ref = self.policy.ref
        return f"{ref.name}/{self.rule}" if ref.group == CLASSIC_GROUP else f"{ref.kind}/{ref.name}"

    def build_query(self, severity: Severity) -> str:
        """The query of the rule with a severity."""
        return f"{self.position} {severity} {self.rule}"

    def build_outline(self) -> RegoModule:
        """Text that reads the fields of the rule from `input`, for tracing the fields of findings."""
        spec = self.policy.value.get("spec") or {}
        rules = [rule for rule in spec.get("rules") or () if rule.get("name") == self.rule] if self.rule else [spec]
        text = orjson.dumps(rules).decode().replace("request.object.", "input.").replace("object.", "input.")
        return RegoModule(path=self.policy.origin.file, text=text, package="", rules=(), is_v0=False, metadata={})


class KyvernoEvaluator:
    """The validating rules of Kyverno policies.

    Args:
        policies: the policies of the program, in their order.
        targets: the objects that will be evaluated; they are sent together on the first question.
    """

    def __init__(
        self,
        program: KyvernoProgram,
        policies: Sequence[tuple[Resource, PolicyDescription]],
        targets: Sequence[Resource],
    ) -> None:
        self._program = program
        self._targets: Sequence[Resource] | None = targets
        self._results: dict[bytes, list[RuleResult]] = {}
        # The first result of each query.
        self._indexes: dict[bytes, dict[str, RuleResult]] = {}
        self._rules = {
            (position, name): KyvernoRule(position, policy, name)
            for position, (policy, description) in enumerate(policies)
            for name in description.rules
        }

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "kyverno", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rules by query, each with both severities that its findings can have."""
        severities: tuple[Severity, ...] = ("error", "warning")
        return {
            rule.build_query(severity): RuleQuery(rule.name, severity, "", (), rule.build_outline())
            for rule in self._rules.values()
            for severity in severities
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a rule applies to a resource with the severity of the query.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
            PolicyError: the policy is evaluated on no further object.
        """
        result = self._index_results(resource.json).get(query)
        if result is None:
            return False
        if result.status == UNKNOWN_NAMESPACE:
            raise UnknownNamespaceError(result.message)
        if result.status == LOST:
            raise PolicyError(result.message)
        return True

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        unknown = [
            (json, sorted({int(query.partition(" ")[0]) for query in queries}))
            for json, queries in inputs
            if queries and json not in self._results
        ]
        fresh = iter(self._program.evaluate(unknown) if unknown else ())
        answers: list[QueryResult] = []
        for number, (json, queries) in enumerate(inputs):
            if queries:
                results = self._results[json] if json in self._results else next(fresh)
                answers += self._build_answers(number, json, queries, results)
        return answers

    def _build_answers(
        self, number: int, json: bytes, queries: Sequence[str], results: Sequence[RuleResult]
    ) -> Iterator[QueryResult]:
        """The answer of each query: its messages, or why it could not be evaluated."""
        items: dict[str, list[Any]] = {}
        errors: dict[str, str] = {}
        selected = frozenset(queries)
        for result in results:
            for query in self._list_queries(result):
                if query not in selected:
                    continue
                if result.status in ("error", LOST):
                    errors[query] = result.message
                elif result.status == "fail":
                    item = self._build_item(json, result)
                    if item not in items.setdefault(query, []):
                        items[query].append(item)
        for query in queries:
            if query in items or query in errors:
                found = items.get(query, [])
                yield QueryResult(number, query, found, "" if found else errors[query])

    def _build_item(self, json: bytes, result: RuleResult) -> dict[str, Any]:
        rule = self._rules[result.policy, result.rule]
        item: dict[str, Any] = {"msg": result.message or f"the resource breaks the rule {rule.name}"}
        if path := find_path(orjson.loads(json), result.path) if result.path else ():
            item["path"] = list(path)
        return item

    def _list_queries(self, result: RuleResult) -> list[str]:
        """The queries that a result is about; that of a policy as a whole is about all of its rules."""
        severity: Severity = "error" if result.is_enforced else "warning"
        if (rule := self._rules.get((result.policy, result.rule))) is not None:
            return [rule.build_query(severity)]
        return [
            rule.build_query(severity)
            for (position, _), rule in self._rules.items()
            if not result.rule and result.policy in (position, -1)
        ]

    def _index_results(self, json: bytes) -> dict[str, RuleResult]:
        if json not in self._indexes:
            self._indexes[json] = index = dict[str, RuleResult]()
            for result in self._find_results(json):
                for query in self._list_queries(result):
                    index.setdefault(query, result)
        return self._indexes[json]

    def _find_results(self, json: bytes) -> list[RuleResult]:
        if self._targets is not None:
            objects = list(dict.fromkeys(target.json for target in self._targets))
            self._targets = None
            found = self._program.evaluate([(one, None) for one in objects])
            self._results.update(zip(objects, found, strict=True))
        if json not in self._results:
            [self._results[json]] = self._program.evaluate([(json, None)])
        return self._results[json]

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; the program serves later evaluations."""


def find_path(value: Any, path: str) -> FieldPath:
    """A path of Kyverno as fields of an object; keys with slashes are those that the object has.

    Args:
        path: keys and indexes, each followed by a slash.
    """
    steps = path.strip("/").split("/")
    fields: list[str | int] = []
    while steps:
        if isinstance(value, list) and steps[0].isdecimal():
            index = int(steps.pop(0))
            fields.append(index)
            value = value[index] if index < len(value) else None
            continue
        known = value if isinstance(value, dict) else {}
        count = next((size for size in range(len(steps), 0, -1) if "/".join(steps[:size]) in known), 1)
        key = "/".join(steps[:count])
        fields.append(key)
        value = known.get(key)
        del steps[:count]
    return tuple(fields)
