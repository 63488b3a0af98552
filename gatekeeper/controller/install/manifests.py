"""What a cluster needs for the controller to run in it: with no more rights than its parts use."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.install import rbac
from gatekeeper.controller.install.rbac import APP_LABELS, APP_NAME, WEBHOOK_SERVICE, InstallOptions, build_object

HTTP_PORT, WEBHOOK_PORT = 8080, 9443


def build_manifests(options: InstallOptions) -> list[dict[str, Any]]:
    """All objects, in the order in which they are applied."""
    found = [
        build_object("v1", "ServiceAccount", options, automountServiceAccountToken=False),
        *rbac.build_rbac(options),
        _build_deployment(options),
        _build_service(options, APP_NAME, 80, HTTP_PORT),
        _build_disruption_budget(options),
        _build_network_policy(options),
    ]
    if "sealed" in options.controllers:
        # Where kubeseal looks for it.
        found.append(_build_service(options, "sealed-secrets-controller", 8080, HTTP_PORT))
    if "admission" in options.controllers:
        found += [
            _build_service(options, WEBHOOK_SERVICE, 443, WEBHOOK_PORT),
            _build_webhook_configuration(options),
        ]
    return found


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
    container = {
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
    spread = {
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
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": volumes,
    }
    spec = {
        "replicas": options.replicas,
        "selector": {"matchLabels": APP_LABELS},
        "template": {"metadata": {"labels": APP_LABELS}, "spec": pod},
    }
    return build_object("apps/v1", "Deployment", options, spec=spec)


def _build_field_env(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _build_service(options: InstallOptions, name: str, port: int, target_port: int) -> dict[str, Any]:
    ports = [{"name": "http" if target_port == HTTP_PORT else "https", "port": port, "targetPort": target_port}]
    return build_object("v1", "Service", options, name, spec={"selector": APP_LABELS, "ports": ports})


def _build_disruption_budget(options: InstallOptions) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": APP_LABELS}}
    return build_object("policy/v1", "PodDisruptionBudget", options, spec=spec)


def _build_network_policy(options: InstallOptions) -> dict[str, Any]:
    """Who may ask it: over HTTP and as webhook; it asks the API server, Git hosts and stores, wherever they are."""
    ports = [{"port": HTTP_PORT, "protocol": "TCP"}]
    if "admission" in options.controllers:
        ports.append({"port": WEBHOOK_PORT, "protocol": "TCP"})
    asked = [{"port": port, "protocol": "TCP"} for port in (22, 443, 6443, 8200)]
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    spec = {
        "podSelector": {"matchLabels": APP_LABELS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": ports}],
        "egress": [{"ports": [*names, *asked]}],
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
    # What the cluster itself needs to go on, and what this needs to begin, asks nobody.
    names = ["kube-system", "kube-node-lease", options.namespace]
    spaces = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}]
    # Others that come very often, and are nobody's wish.
    often = [
        {
            "name": "no-heartbeats",
            "expression": "!(request.resource.resource in ['events', 'leases', 'endpointslices'])",
        }
    ]
    hook = {
        "name": "validate.gatekeeper-gitops.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore" if options.is_fail_open else "Fail",
        "timeoutSeconds": 10,
        "matchPolicy": "Equivalent",
        "clientConfig": {"service": service},
        "rules": [rule],
        "namespaceSelector": {"matchExpressions": spaces},
        "matchConditions": often,
    }
    whole = {"name": APP_NAME, "labels": APP_LABELS}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": whole, "webhooks": [hook]}
