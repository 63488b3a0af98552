"""Evaluates bindings of ValidatingAdmissionPolicies on resources, with the API server's own validator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel.parameters import ParametersDeniedError
from gatekeeper.engines.admission.cel_policies import has_marker
from gatekeeper.engines.admission.vap import AdmissionIndex, PolicyBinding, is_match
from gatekeeper.engines.rego.model import RegoModule, RuleQuery
from gatekeeper.engines.schema.crds import encode_definition
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import ObjectRef, Resource, build_ref
from gatekeeper.protocols import QueryResult
from gatekeeper.upstream.cel_evaluation import CelBatch, CelParameters, CelRefusal, CelRow, CelUse, evaluate_batch

# Ends the query for what a binding denies although it only warns or audits.
DENIALS = " denials"
COST_MESSAGE = compile_lazily("cost limit exceeded|running out of cost budget")


class BindingEvaluator:
    """Bindings of CEL policies, evaluated like a Rego engine: a query is a binding, an input a resource."""

    def __init__(self, bindings: Sequence[PolicyBinding], index: AdmissionIndex) -> None:
        self._bindings = {binding.name: binding for binding in bindings}
        self._index = index
        # The definitions of custom kinds as JSON, by version and kind: tracing evaluates many batches.
        self._encoded: dict[tuple[str, str], bytes] = {}

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "cel", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rules of each binding, by query."""
        rules: dict[str, RuleQuery] = {}
        for name, binding in self._bindings.items():
            outline = _build_outline(binding)
            rules[name] = RuleQuery(name, binding.severity, "", (), outline)
            if binding.has_other_denials:
                rules[f"{name}{DENIALS}"] = RuleQuery(name, "error", "", (), outline)
        return rules

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a binding applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
            PolicyError: only the cluster can convert the object to the version that the policy reads.
        """
        binding = self._bindings[query.removesuffix(DENIALS)]
        if not all(is_match(match, resource, self._index) for match in binding.match_specs):
            return False
        if binding.cel_policy.has_variable("namespaceObject") and resource.ref.namespace:
            self._index.namespaces.find_object(resource.ref.namespace)
        return True

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        draft = BatchDraft(self._bindings.values(), self._index, self._encoded)
        rows: list[CelRow] = []
        outcomes: list[_Outcome] = []
        for number, (json, queries) in enumerate(inputs):
            if queries:
                outcome = _Outcome(number, json, queries)
                ref = build_ref(orjson.loads(json))
                uses = []
                for binding in (self._bindings[name] for name in outcome.names):
                    try:
                        uses += [(binding.name, use) for use in draft.list_uses(binding, ref)]
                    except ParametersDeniedError as error:
                        if not binding.is_error_ignored:
                            outcome.add(binding.name, CelRefusal(str(error), is_error=False, is_denial=True))
                outcome.used = [name for name, _ in uses]
                request = build_policy_request(ref, json, self._index.rules.find_plural(ref))
                rows.append(CelRow(request, draft.find_namespace(ref), [use for _, use in uses]))
                outcomes.append(outcome)
        results = evaluate_batch(self._index.client, draft.build(rows))
        answers: list[QueryResult] = []
        for outcome, result in zip(outcomes, results, strict=True):
            for name, refusals in zip(outcome.used, result.refusals, strict=True):
                for refusal in refusals:
                    outcome.add(name, refusal)
            answers.extend(outcome.list_answers(self._bindings, result.error))
        return answers

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; there is nothing to end."""


class _Outcome:
    """What bindings say about one input.

    Attributes:
        names: the bindings, each once.
        used: the binding of each use.
    """

    def __init__(self, number: int, json: bytes, queries: Sequence[str]) -> None:
        self._number, self._queries = number, queries
        self._is_unknown = has_marker(json)
        self._refusals: dict[str, dict[CelRefusal, None]] = {}
        self.names = list(dict.fromkeys(query.removesuffix(DENIALS) for query in queries))
        self.used: Sequence[str] = ()

    def add(self, name: str, refusal: CelRefusal) -> None:
        self._refusals.setdefault(name, {})[refusal] = None

    def list_answers(self, bindings: Mapping[str, PolicyBinding], error: str) -> Iterator[QueryResult]:
        for query in self._queries:
            name = query.removesuffix(DENIALS)
            separates = bindings[name].has_other_denials
            refusals = [
                refusal
                for refusal in self._refusals.get(name, ())
                if not separates or refusal.is_denial == query.endswith(DENIALS)
            ]
            # If the object has values that are not known yet, an expression may fail because of them.
            unknown = [one.message for one in refusals if one.is_error and self._is_unknown]
            messages = [one.message for one in refusals if not (one.is_error and self._is_unknown)]
            if messages:
                yield QueryResult(self._number, query, [_build_item(one) for one in dict.fromkeys(messages)], "")
            elif unknown or error:
                yield QueryResult(self._number, query, [], error or unknown[0])


def find_request_namespace(ref: ObjectRef) -> str:
    """The namespace of the request that creates an object; that of a Namespace is the Namespace itself.

    Source: apiserver `pkg/endpoints/handlers/create.go`.
    """
    return ref.name if (ref.api_version, ref.kind) == ("v1", "Namespace") else ref.namespace


def build_policy_request(ref: ObjectRef, json: bytes, plural: str) -> bytes:
    """The request (JSON) that creates an object, as policies in CEL see it."""
    return admission_request.build_request(ref._replace(namespace=find_request_namespace(ref)), json, plural)


def _build_item(message: str) -> Any:
    """A message; one about costs is that of the whole object, since tracing its field would cost as much each time."""
    return {"msg": message, "field": []} if COST_MESSAGE.search(message) else message


class BatchDraft:
    """The policies, parameters, namespaces and definitions of a batch, each once.

    Args:
        encoded: definitions as JSON, by version and kind, from earlier batches; those of this one are added.
    """

    def __init__(
        self, bindings: Iterable[PolicyBinding], index: AdmissionIndex, encoded: dict[tuple[str, str], bytes]
    ) -> None:
        bindings = list(bindings)
        self._index = index
        self._policies = {binding.name: number for number, binding in enumerate(bindings)}
        self._sources = [binding.cel_policy.source for binding in bindings]
        self._reads_namespace = any(binding.cel_policy.has_variable("namespaceObject") for binding in bindings)
        self._parameters: dict[CelParameters, int] = {}
        self._namespaces: dict[str, int] = {}
        self._versions: dict[str, int] = {}
        self._encoded = encoded
        self._definitions: dict[tuple[str, str], bytes] = {}

    def list_uses(self, binding: PolicyBinding, ref: ObjectRef) -> list[CelUse]:
        """The uses of a binding on an object: one for each of the parameters that apply to it.

        Raises:
            ParametersDeniedError: the binding refuses the object because of its parameters.
        """
        self._add_definition(ref.group, ref.kind)
        version = -1
        api_version = self._index.rules.find_version(binding.match_specs[0], ref)
        if api_version not in (None, ref.api_version):
            version = self._versions.setdefault(str(api_version), len(self._versions))
        policy = self._policies[binding.name]
        if binding.parameters is None:
            return [CelUse(policy, version=version)]
        self._add_definition(binding.parameters.kind.group, binding.parameters.kind.kind)
        selected = binding.parameters.select(find_request_namespace(ref))
        numbers = [self._parameters.setdefault(one, len(self._parameters)) for one in selected]
        return [CelUse(policy, number, version) for number in numbers]

    def _add_definition(self, group: str, kind: str) -> None:
        for one in self._index.scopes.find_versions(group, kind):
            key = one.api_version, kind
            if key not in self._encoded:
                self._encoded[key] = encode_definition(one)
            self._definitions[key] = self._encoded[key]

    def find_namespace(self, ref: ObjectRef) -> int:
        """The position of the Namespace of an object; -1 without one, or if no policy reads it."""
        name = ref.namespace
        if not name or not self._reads_namespace or not self._index.namespaces.has_object(name):
            return -1
        return self._namespaces.setdefault(name, len(self._namespaces))

    def build(self, rows: Sequence[CelRow]) -> CelBatch:
        """The batch."""
        namespaces = [orjson.dumps(self._index.namespaces.find_object(name)) for name in self._namespaces]
        definitions = [one for one in self._definitions.values() if one]
        return CelBatch(
            policies=self._sources,
            parameters=list(self._parameters),
            namespaces=namespaces,
            is_admitted=True,
            rows=rows,
            versions=list(self._versions),
            definitions=definitions,
        )


def _build_outline(binding: PolicyBinding) -> RegoModule:
    """Builds text that reads the fields of the policy from `input`, for tracing the fields of findings."""
    return RegoModule(
        path=binding.policy.origin.file,
        text=binding.cel_policy.text.replace("object.", "input."),
        package="",
        rules=(),
        is_v0=False,
        metadata={},
    )
