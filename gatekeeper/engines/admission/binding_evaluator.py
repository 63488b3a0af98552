"""Evaluates bindings of ValidatingAdmissionPolicies on resources, with the API server's own validator."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gatekeeper.engines.admission import admission_request
from gatekeeper.engines.admission.cel_policies import has_marker
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.admission.vap import PolicyBinding, find_plurals, is_match, pluralize
from gatekeeper.engines.rego.model import RegoModule, RuleQuery
from gatekeeper.model import Resource, build_ref
from gatekeeper.protocols import QueryResult
from gatekeeper.upstream.cel_evaluation import CelBatch, CelRefusal, CelRow, CelUse, evaluate_batch
from gatekeeper.upstream.client import UpstreamClient


class BindingEvaluator:
    """Bindings of CEL policies, evaluated like a Rego engine: a query is a binding, an input a resource."""

    def __init__(
        self, bindings: Sequence[PolicyBinding], resources: Sequence[Resource], client: UpstreamClient
    ) -> None:
        self._bindings = {binding.name: binding for binding in bindings}
        self._namespaces = NamespaceIndex(resources)
        self._plurals = find_plurals(resources)
        self._client = client

    @property
    def name(self) -> tuple[str, str]:
        """See `gatekeeper.protocols.RegoEngine`."""
        return "cel", ""

    def build_rule_queries(self) -> dict[str, RuleQuery]:
        """Builds the rule of each binding, by query."""
        return {
            query: RuleQuery(query, binding.severity, "", (), _build_outline(binding))
            for query, binding in self._bindings.items()
        }

    def is_applicable(self, query: str, resource: Resource) -> bool:
        """Whether a binding applies to a resource.

        Raises:
            UnknownNamespaceError: it depends on a namespace that the repository does not contain.
        """
        binding = self._bindings[query]
        if binding.cel_policy.has_variable("namespaceObject") and resource.ref.namespace:
            self._namespaces.find_object(resource.ref.namespace)
        plural = self._plurals.get((resource.ref.group, resource.ref.kind)) or pluralize(resource.ref.kind)
        return all(is_match(match, resource, plural, self._namespaces) for match in binding.match_specs)

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """See `gatekeeper.protocols.RegoEngine`; an input is a resource."""
        draft = _BatchDraft(list(self._bindings.values()), self._namespaces)
        selected = [(number, json, queries) for number, (json, queries) in enumerate(inputs) if queries]
        rows: list[CelRow] = []
        names: list[list[str]] = []
        refs = [build_ref(orjson.loads(json)) for _, json, _ in selected]
        for ref, (_, json, queries) in zip(refs, selected, strict=True):
            plural = self._plurals.get((ref.group, ref.kind)) or pluralize(ref.kind)
            uses = draft.list_uses([self._bindings[query] for query in queries], ref.namespace)
            request = admission_request.build_request(ref, json, plural)
            rows.append(CelRow(request, draft.find_namespace(ref.namespace), [use for _, use in uses]))
            names.append([name for name, _ in uses])
        answers: list[QueryResult] = []
        results = evaluate_batch(self._client, draft.build(rows))
        for ref, (number, json, queries), used, result in zip(refs, selected, names, results, strict=True):
            errors = dict.fromkeys(queries, result.error)
            found = {query: [] if query in used else self._list_missing(query, ref.namespace) for query in queries}
            for name, refusals in zip(used, result.refusals, strict=True):
                _sort_refusals(name, refusals, has_marker(json), found, errors)
            answers.extend(
                QueryResult(number, query, found[query], "" if found[query] else errors[query])
                for query in queries
                if found[query] or errors[query]
            )
        return answers

    def _list_missing(self, query: str, namespace: str) -> list[str]:
        reason = _find_missing_parameters(self._bindings[query], namespace)
        return [reason] if reason else []

    def close(self) -> None:
        """See `gatekeeper.protocols.RegoEngine`; there is nothing to end."""


def _sort_refusals(
    name: str, refusals: Sequence[CelRefusal], is_unknown: bool, found: dict[str, list[str]], errors: dict[str, str]
) -> None:
    """Adds refusals to the messages of a binding, or to its errors if the object has values that are not known yet."""
    for refusal in refusals:
        if refusal.is_error and is_unknown:
            errors[name] = errors[name] or refusal.message
        elif refusal.message not in found[name]:
            found[name].append(refusal.message)


class _BatchDraft:
    """The policies, parameters and namespaces of a batch, each once."""

    def __init__(self, bindings: Sequence[PolicyBinding], namespaces: NamespaceIndex) -> None:
        self._policies = {binding.name: number for number, binding in enumerate(bindings)}
        self._sources = [binding.cel_policy.source for binding in bindings]
        self._reads_namespace = any(binding.cel_policy.has_variable("namespaceObject") for binding in bindings)
        self._index = namespaces
        self._parameters: dict[bytes, int] = {}
        self._namespaces: dict[str, int] = {}

    def list_uses(self, bindings: Sequence[PolicyBinding], namespace: str) -> list[tuple[str, CelUse]]:
        """The names of bindings, each once for each of the parameters that apply in a namespace."""
        uses = []
        for binding in bindings:
            policy = self._policies[binding.name]
            if binding.parameters is None:
                uses.append((binding.name, CelUse(policy)))
            for parameter_namespace, json in binding.parameters or ():
                if not parameter_namespace or parameter_namespace == namespace:
                    number = self._parameters.setdefault(json, len(self._parameters))
                    uses.append((binding.name, CelUse(policy, number)))
        return uses

    def find_namespace(self, name: str) -> int:
        """The position of a Namespace; -1 if no policy reads it."""
        if not name or not self._reads_namespace or not self._index.has_object(name):
            return -1
        return self._namespaces.setdefault(name, len(self._namespaces))

    def build(self, rows: Sequence[CelRow]) -> CelBatch:
        """The batch."""
        namespaces = [orjson.dumps(self._index.find_object(name)) for name in self._namespaces]
        return CelBatch(self._sources, list(self._parameters), namespaces, True, rows)


def _find_missing_parameters(binding: PolicyBinding, namespace: str) -> str:
    """Why a binding refuses resources of a namespace without parameters; empty if it does not."""
    if not namespace and any(name for name, _ in binding.parameters or ()):
        return binding.missing_parameters and (
            "failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped "
            "resources"
        )
    return binding.missing_parameters


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
