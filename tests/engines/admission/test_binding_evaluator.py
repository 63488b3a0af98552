"""Bindings with several parameters, namespaces and objects in one batch."""

from __future__ import annotations

from gatekeeper.engines.admission.binding_evaluator import BindingEvaluator
from gatekeeper.engines.admission.vap import AdmissionIndex, parse_binding
from gatekeeper.engines.schema.kind_scopes import KindScopes
from gatekeeper.upstream.client import UpstreamClient
from tests.engines.admission.test_vap import BINDING, NAMESPACE, OBJECT, POLICY
from tests.engines.resources import parse_resources
from tests.upstream.conftest import client, program  # noqa: F401  fixtures

PARAMS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: prod}\ndata: {most: 'MOST'}\n"


def test_each_of_several_parameters_gives_its_message(client: UpstreamClient) -> None:  # noqa: F811
    policy = POLICY.replace("variables.most\n", "int(params.data.most)\n").replace("string(variables", "(params.data")
    policy = policy.replace("  failurePolicy: Fail\n", "  paramKind: {apiVersion: v1, kind: ConfigMap}\n")
    binding = BINDING.replace("policyName", "paramRef: {selector: {}, parameterNotFoundAction: Deny}, policyName")
    params = [PARAMS.replace("NAME", f"p{most}").replace("MOST", most) for most in ("3", "6", "9")]
    known = parse_resources("---\n".join([NAMESPACE, *params]))
    [policy_resource], [binding_resource], [target] = (parse_resources(one) for one in (policy, binding, OBJECT))
    index = AdmissionIndex.build(known, KindScopes(()), client, "1.36")
    parsed = parse_binding(policy_resource, binding_resource, index)
    evaluator = BindingEvaluator([parsed], index)
    assert evaluator.is_applicable(parsed.name, target)
    [result] = evaluator.evaluate([(target.json, ()), (target.json, (parsed.name,))])
    assert (result.input_index, result.value) == (1, ["at most 3 replicas", "at most 6 replicas"])
