"""Install manifests: all objects that the controller needs in a cluster."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.install import rbac
from gatekeeper.controller.install.rbac import APP_LABELS, APP_NAME, WEBHOOK_SERVICE, InstallOptions, build_object

HTTP_PORT, WEBHOOK_PORT = 8080, 9443


def build_manifests(options: InstallOptions) -> list[dict[str, Any]]:
    """Build all objects, in the order in which they are applied."""
    objects = [
        build_object("v1", "ServiceAccount", options, automountServiceAccountToken=False),
        *rbac.build_rbac(options),
        _build_deployment(options),
        _build_service(options, APP_NAME, 80, HTTP_PORT),
        _build_disruption_budget(options),
        _build_network_policy(options),
    ]
    if "sealed" in options.controllers:
        # The Service that kubeseal looks for by default.
        objects.append(_build_service(options, "sealed-secrets-controller", 8080, HTTP_PORT))
    if "admission" in options.controllers:
        objects += [
            _build_service(options, WEBHOOK_SERVICE, 443, WEBHOOK_PORT),
            _build_webhook_configuration(options),
        ]
    return objects


def _build_deployment(options: InstallOptions) -> dict[str, Any]:
    arguments = [
        "controller",
        "run",
        "--controllers",
        ",".join(options.controllers),
        "--storage-path",
        "/data/artifacts",
    ]
    ports = [{"name": "http", "containerPort": HTTP_PORT}]
    volumes: list[dict[str, Any]] = [
        {"name": "data", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}]
    if "admission" in options.controllers:
        arguments += ["--policies", "/policies", *(["--fail-open"] if options.is_fail_open else [])]
        ports.append({"name": "webhook", "containerPort": WEBHOOK_PORT})
        volumes.append({"name": "policies", "configMap": {"name": options.policies}})
        mounts.append({"name": "policies", "mountPath": "/policies"})
    container = _build_container(options, arguments, ports, mounts)
    topology_spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": APP_LABELS},
    }
    pod = {
        "serviceAccountName": APP_NAME,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [topology_spread],
        "containers": [container],
        "volumes": volumes,
    }
    spec = {
        "replicas": options.replicas,
        "selector": {"matchLabels": APP_LABELS},
        "template": {"metadata": {"labels": APP_LABELS}, "spec": pod},
    }
    return build_object("apps/v1", "Deployment", options, spec=spec)


def _build_container(
    options: InstallOptions, arguments: list[str], ports: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": APP_NAME,
        "image": options.image,
        "args": arguments,
        "ports": ports,
        "volumeMounts": mounts,
        "env": [
            _build_field_env("POD_NAME", "metadata.name"),
            _build_field_env("POD_NAMESPACE", "metadata.namespace"),
            {"name": "XDG_CACHE_HOME", "value": "/data/cache"},
        ],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _build_field_env(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _build_service(options: InstallOptions, name: str, port: int, target_port: int) -> dict[str, Any]:
    ports = [{"name": "http" if target_port == HTTP_PORT else "https", "port": port, "targetPort": target_port}]
    return build_object("v1", "Service", options, name, spec={"selector": APP_LABELS, "ports": ports})


def _build_disruption_budget(options: InstallOptions) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": APP_LABELS}}
    return build_object("policy/v1", "PodDisruptionBudget", options, spec=spec)


def _build_network_policy(options: InstallOptions) -> dict[str, Any]:
    """Permit HTTP and webhook requests to the controller, and its own to the API server, Git hosts and stores."""
    ports = [{"port": HTTP_PORT, "protocol": "TCP"}]
    if "admission" in options.controllers:
        ports.append({"port": WEBHOOK_PORT, "protocol": "TCP"})
    outgoing = [{"port": port, "protocol": "TCP"} for port in (22, 443, 6443, 8200)]
    dns = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    spec = {
        "podSelector": {"matchLabels": APP_LABELS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": ports}],
        "egress": [{"ports": [*dns, *outgoing]}],
    }
    return build_object("networking.k8s.io/v1", "NetworkPolicy", options, spec=spec)


def _build_webhook_configuration(options: InstallOptions) -> dict[str, Any]:
    service = {"name": WEBHOOK_SERVICE, "namespace": options.namespace, "path": "/validate", "port": 443}
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["*"],
        "scope": "*",
    }
    # A webhook that is down must not stop the cluster, nor its own start.
    excluded = ["kube-system", "kube-node-lease", options.namespace]
    namespace_rules = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}]
    # These are written very often, and describe no workload.
    conditions = [
        {
            "name": "no-heartbeats",
            "expression": "!(request.resource.resource in ['events', 'leases', 'endpointslices'])",
        }
    ]
    webhook = {
        "name": "validate.gatekeeper-gitops.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore" if options.is_fail_open else "Fail",
        "timeoutSeconds": 10,
        "matchPolicy": "Equivalent",
        "clientConfig": {"service": service},
        "rules": [rule],
        "namespaceSelector": {"matchExpressions": namespace_rules},
        "matchConditions": conditions,
    }
    metadata = {"name": APP_NAME, "labels": APP_LABELS}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": metadata, "webhooks": [webhook]}
