"""Seeded ValidatingAdmissionPolicies with bindings, and what they judge: definitions, parameters and objects."""

from __future__ import annotations

import copy
import random
from typing import Any, NamedTuple

import yaml

Value = dict[str, Any]
GROUP = "admissionregistration.k8s.io/v1"
# What exists before a policy does. The API server creates `default` itself.
CONTENT = """\
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {stage: production, team: a}}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev, labels: {stage: dev}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: &widget
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            default: {}
            properties:
              size: {type: integer, default: 3}
              note: {type: string, nullable: true}
              parts: {type: array, items: {type: object, properties: {name: {type: string}, count: {type: integer, default: 1}}}}
  - {name: v2, served: true, storage: false, schema: *widget}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          data: {type: object, additionalProperties: {type: string}}
          status: {type: object, properties: {ready: {type: boolean}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: prod, labels: {kind: limit}}
data: {most: "3"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: more, namespace: prod, labels: {kind: limit}}
data: {most: "5"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: dev, labels: {kind: other}}
data: {most: "1"}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: limits, namespace: prod, labels: {kind: limit}}
spec: {}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: limits, namespace: default, labels: {kind: other}}
spec: {size: 1}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: limits, labels: {kind: limit}}
data: {most: "2"}
"""
OBJECTS = """\
apiVersion: apps/v1
kind: Deployment
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1.27", resources: {limits: {memory: 2Gi}}}
      - {name: side, image: nginx}
---
apiVersion: v1
kind: Pod
spec: {containers: [{name: web, image: "nginx:1.27", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
spec: {selector: {app: web}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 10.9.9.9}]}}
---
apiVersion: v1
kind: ConfigMap
data: {host: example.com, most: "4"}
---
apiVersion: v1
kind: Secret
stringData: {key: value}
---
apiVersion: v1
kind: Namespace
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 4, targetCPUUtilizationPercentage: 70}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 4}
---
apiVersion: v1
kind: Event
involvedObject: {kind: Pod, name: web}
reason: Started
type: Normal
---
apiVersion: events.k8s.io/v1
kind: Event
regarding: {kind: Pod, name: web}
eventTime: "2026-01-01T00:00:00.000000Z"
reportingController: example.com/c
reportingInstance: i
action: Start
reason: Started
type: Normal
---
apiVersion: example.com/v1
kind: Widget
spec: {note: null, parts: [{name: a}]}
---
apiVersion: example.com/v2
kind: Widget
---
apiVersion: example.com/v1
kind: Gadget
data: {most: "7"}
status: {ready: true}
---
apiVersion: batch/v1
kind: Job
spec: {template: {spec: {restartPolicy: Never, containers: [{name: web, image: nginx}]}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
spec: {selector: {matchLabels: {app: web}}, minAvailable: 50%}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
webhooks: []
"""
CLUSTER_KINDS = {"Namespace", "ClusterRole", "Gadget", "ValidatingWebhookConfiguration"}
GROUPS = ["*", "*", "", "apps", "autoscaling", "events.k8s.io", "example.com", "batch"]
VERSIONS = ["*", "v1", "v1", "v2", "v1beta1"]
RESOURCES = [
    "*",
    "*",
    "*/*",
    "pods",
    "pods/*",
    "deployments",
    "deployments/*",
    "deployments/scale",
    "*/status",
    "events",
]
RESOURCES += [
    "horizontalpodautoscalers",
    "widgets",
    "widgets/*",
    "gadgets",
    "namespaces",
    "configmaps",
    "services/status",
]
OPERATIONS = [["CREATE"], ["CREATE"], ["*"], ["CREATE", "UPDATE"], ["UPDATE", "DELETE"]]
LABELS = [{}, {"app": "web"}, {"app": "web", "team": "a"}, {"team": "b"}, {"app": ""}]
SELECTORS: list[Value] = [
    {},
    {"matchLabels": {"app": "web"}},
    {"matchLabels": {"team": "a"}},
    {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]},
    {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}], "matchLabels": {"team": "b"}},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["", "db"]}]},
]
NAMESPACE_SELECTORS: list[Value] = [
    {},
    {"matchLabels": {"stage": "production"}},
    {"matchLabels": {"kubernetes.io/metadata.name": "dev"}},
    {"matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["dev"]}]},
    {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
    {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["prod", "o1"]}]},
]
CONDITIONS = [
    "object.metadata.name != 'o1'",
    "object.metadata.?labels[?'app'].orValue('') == 'web'",
    "request.namespace == 'prod'",
    "object.spec.replicas > 1",
    "has(object.spec)",
    "request.operation == 'CREATE'",
    "namespaceObject != null",
]
EXPRESSIONS = [
    "false",
    "object.metadata.name.startsWith('o1')",
    "has(object.metadata.labels) && 'app' in object.metadata.labels",
    "object.metadata.labels['team'] == 'a'",
    "object.metadata.?labels[?'team'].orValue('none') != 'none'",
    "request.operation != 'CREATE'",
    "request.kind.version == 'v1'",
    "request.requestKind.version == 'v1' && request.requestKind.group == request.kind.group",
    "request.resource.resource in ['deployments', 'widgets', 'horizontalpodautoscalers']",
    "request.resource == request.requestResource",
    "request.namespace != 'prod' && !has(request.subResource)",
    "request.name == object.metadata.name && request.requestSubResource == ''",
    "object.apiVersion.endsWith('v1')",
    "object.kind in ['Pod', 'Deployment']",
    "has(object.apiVersion) && object.apiVersion == request.kind.group + '/' + request.kind.version",
    "namespaceObject.metadata.labels['stage'] == 'production'",
    "namespaceObject == null || namespaceObject.metadata.?labels[?'stage'].hasValue()",
    "oldObject != null",
    "object.spec.replicas <= 1",
    "object.spec.template.spec.containers.all(c, c.image.contains(':'))",
    "object.?spec.?replicas.orValue(5) < 3",
    "quantity(object.spec.template.spec.containers[0].resources.limits.memory).isLessThan(quantity('1Gi'))",
    "object.spec.template.spec.containers.map(c, c.name).isSorted()",
    "object.metadata.name.find('[0-9]+') == '2'",
    "url('https://' + object.metadata.name + '.example.com/x?a=1').getHost() != 'o1.example.com'",
    "ip(object.spec.clusterIP).family() == 6",
    "cidr('10.0.0.0/8').containsIP(object.status.loadBalancer.ingress[0].ip)",
    "!has(object.status)",
    "object.spec.type == 'LoadBalancer'",
    "has(object.spec.progressDeadlineSeconds) && object.spec.progressDeadlineSeconds < 600",
    "!has(object.spec.minReplicas)",
    "object.spec.metrics.size() == 0",
    "object.spec.targetCPUUtilizationPercentage > 80",
    "has(object.involvedObject) || has(object.deprecatedSource)",
    "object.regarding.name != 'web'",
    "object.spec.size != 3",
    "has(object.spec.note)",
    "object.spec.parts.all(p, p.count > 1)",
    "object.data.most != '4'",
    "object.data.all(k, k.size() > 4)",
    "object.spec.containers[0].imagePullPolicy == 'Always'",
    "object.spec.tolerations.exists(t, t.key == 'x')",
    "object.spec.serviceAccountName != 'default'",
    "object.spec.serviceAccount == 'other'",
    "!format.dns1123Label().validate(object.metadata.name).hasValue()",
    "semver('1.2.3').isLessThan(semver(object.metadata.name, true))",
    "!(object.metadata.name in ['o1', 'o2', 'o3'].filter(n, n != 'o2'))",
    "object.metadata.namespace == request.namespace",
    "object.metadata.generation == 1",
    "variables.half > 1",
    "variables.twice != 4",
    "variables.replicas < 2",
    "[1, 2, 3].all(a, variables.twice > a)",
    # This exceeds the cost limit at once.
    "!variables.d4.contains(variables.d4 + 'x')",
]
PARAM_EXPRESSIONS = [
    "params == null",
    "params != null && params.metadata.name == 'limits'",
    "int(params.data.most) > 3",
    "params.spec.size > 2",
    "has(params.apiVersion) && params.kind == 'Gadget'",
    "object.spec.replicas <= int(params.data['most'])",
    "variables.most > 2",
    "!has(params.metadata.namespace) || params.metadata.namespace == request.namespace",
]
MESSAGES = ["'name ' + object.metadata.name", "''", "'a\\nb'", "'most ' + string(object.spec.replicas)", "'  x '"]
PARAM_MESSAGES = ["'limit ' + params.metadata.name", "'most ' + params.data.most"]
VARIABLES: list[Value] = [
    {"name": "replicas", "expression": "object.spec.replicas"},
    {"name": "half", "expression": "object.?spec.?replicas.orValue(0) / 2"},
    {"name": "twice", "expression": "variables.half * 2 + 2"},
    {"name": "d1", "expression": "'0123456789'"},
    *({"name": f"d{i}", "expression": " + ".join([f"variables.d{i - 1}"] * 10)} for i in (2, 3, 4)),
]
PARAM_KINDS = [
    ("v1", "ConfigMap"),
    ("example.com/v1", "Widget"),
    ("example.com/v2", "Widget"),
    ("example.com/v1", "Gadget"),
]
# Objects that are judged have none of these labels: a dry run does not create them.
PARAM_SELECTORS: list[Value] = [
    {"matchExpressions": [{"key": "kind", "operator": "Exists"}]},
    {"matchLabels": {"kind": "limit"}},
]


class Round(NamedTuple):
    """Policies with their bindings, and the objects that they judge."""

    policies: list[Value]
    bindings: list[Value]
    objects: list[Value]


def load_content() -> list[Value]:
    """Namespaces, definitions and parameters."""
    return list(yaml.safe_load_all(CONTENT))


def build_round(chance: random.Random, number: int, policy_count: int, object_count: int) -> Round:
    """The policies and objects of a round."""
    policies = [_build_policy(chance, f"p{number}-{index}") for index in range(policy_count)]
    bindings = [
        _build_binding(chance, policy, f"{policy['metadata']['name']}-{index}")
        for policy in policies
        for index in range(chance.choice((1, 1, 2)))
    ]
    return Round(policies, bindings, [_build_object(chance) for _ in range(object_count)])


def _build_object(chance: random.Random) -> Value:
    value: Value = copy.deepcopy(chance.choice(list(yaml.safe_load_all(OBJECTS))))
    value["metadata"] = {"name": chance.choice(("o1", "o2", "o3"))}
    labels = chance.choice(LABELS)
    if labels:
        value["metadata"]["labels"] = labels
    namespace = chance.choice(("", "prod", "prod", "dev"))
    if value["kind"] == "Event":
        # An Event is in the namespace of the object that it is about.
        namespace = namespace or "default"
        value["involvedObject" if "involvedObject" in value else "regarding"]["namespace"] = namespace
    if namespace and value["kind"] not in CLUSTER_KINDS:
        value["metadata"]["namespace"] = namespace
    return value


def _build_rule(chance: random.Random) -> Value:
    rule: Value = {
        "apiGroups": [chance.choice(GROUPS)],
        "apiVersions": [chance.choice(VERSIONS)],
        "operations": chance.choice(OPERATIONS),
        "resources": [chance.choice(RESOURCES)],
    }
    if chance.random() < 0.3:
        rule["scope"] = chance.choice(("*", "Namespaced", "Cluster"))
    if chance.random() < 0.2:
        rule["resourceNames"] = chance.choice((["o1"], ["o2", "o3"]))
    return rule


def _build_match(chance: random.Random, is_policy: bool) -> Value:
    match: Value = {}
    if is_policy or chance.random() < 0.3:
        match["resourceRules"] = [_build_rule(chance) for _ in range(chance.choice((1, 2, 3)))]
    if chance.random() < 0.3:
        match["excludeResourceRules"] = [_build_rule(chance)]
    if chance.random() < 0.3:
        match["objectSelector"] = chance.choice(SELECTORS)
    if chance.random() < 0.3:
        match["namespaceSelector"] = chance.choice(NAMESPACE_SELECTORS)
    if chance.random() < 0.6:
        match["matchPolicy"] = chance.choice(("Exact", "Equivalent"))
    return match


def _build_policy(chance: random.Random, name: str) -> Value:
    has_params = chance.random() < 0.4
    variables = [*VARIABLES]
    if has_params:
        variables.append({"name": "most", "expression": "int(params.data.most)"})
    spec: Value = {"matchConstraints": _build_match(chance, True), "variables": variables, "validations": []}
    for _ in range(chance.choice((1, 1, 2, 3))):
        pool = EXPRESSIONS + (PARAM_EXPRESSIONS * 4 if has_params else [])
        one: Value = {"expression": chance.choice(pool)}
        if chance.random() < 0.3:
            one["message"] = f"message of {name}"
        if chance.random() < 0.4:
            one["messageExpression"] = chance.choice(MESSAGES + (PARAM_MESSAGES if has_params else []))
        if chance.random() < 0.3:
            one["reason"] = chance.choice(("Forbidden", "Invalid", "RequestEntityTooLarge"))
        spec["validations"].append(one)
    if has_params:
        api_version, kind = chance.choice(PARAM_KINDS)
        spec["paramKind"] = {"apiVersion": api_version, "kind": kind}
    if chance.random() < 0.3:
        conditions = chance.sample(CONDITIONS, chance.choice((1, 2)))
        spec["matchConditions"] = [{"name": f"c{i}", "expression": one} for i, one in enumerate(conditions)]
    if chance.random() < 0.5:
        spec["failurePolicy"] = chance.choice(("Fail", "Ignore"))
    if chance.random() < 0.2:
        annotation = chance.choice(("'x'", "string(object.spec.replicas)", "string(object.metadata.name)"))
        spec["auditAnnotations"] = [{"key": "k", "valueExpression": annotation}]
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}


def _build_binding(chance: random.Random, policy: Value, name: str) -> Value:
    actions = chance.choice((["Warn"], ["Warn"], ["Warn", "Audit"], ["Warn", "Audit"], ["Audit"], ["Deny"]))
    if chance.random() < 0.05:
        actions = ["Deny", "Audit"]
    spec: Value = {"policyName": policy["metadata"]["name"], "validationActions": actions}
    if chance.random() < 0.4:
        spec["matchResources"] = _build_match(chance, False)
    if "paramKind" in policy["spec"] and chance.random() < 0.9:
        kind = policy["spec"]["paramKind"]["kind"]
        ref: Value = {"parameterNotFoundAction": chance.choice(("Allow", "Allow", "Deny"))}
        spec["paramRef"] = ref
        if chance.random() < 0.6:
            ref["name"] = "limits"
        else:
            ref["selector"] = chance.choice(PARAM_SELECTORS)
        if chance.random() < (0.5 if kind != "Gadget" else 0.1):
            ref["namespace"] = "prod"
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": spec}
