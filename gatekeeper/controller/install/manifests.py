"""What a cluster needs for the controller to run in it: with no more rights than its parts use."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.install import rbac
from gatekeeper.controller.install.rbac import LABELS, NAME, Wanted, named

HTTP, TLS = 8080, 9443


def manifests(wanted: Wanted) -> list[dict[str, Any]]:
    """All objects, in the order in which they are applied."""
    found = [
        named("v1", "ServiceAccount", wanted, automountServiceAccountToken=False),
        *rbac.of(wanted),
        _deployment(wanted),
        _service(wanted, NAME, 80, HTTP),
        _budget(wanted),
        _network(wanted),
    ]
    if "sealed" in wanted.controllers:
        # Where kubeseal looks for it.
        found.append(_service(wanted, "sealed-secrets-controller", 8080, HTTP))
    if "admission" in wanted.controllers:
        found += [_service(wanted, f"{NAME}-webhook", 443, TLS), _webhook(wanted)]
    return found


def _deployment(wanted: Wanted) -> dict[str, Any]:
    arguments = [
        "controller",
        "run",
        "--controllers",
        ",".join(wanted.controllers),
        "--storage-path",
        "/data/artifacts",
    ]
    ports = [{"name": "http", "containerPort": HTTP}]
    volumes: list[dict[str, Any]] = [
        {"name": "data", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}]
    if "admission" in wanted.controllers:
        arguments += ["--policies", "/policies", *(["--fail-open"] if wanted.fails_open else [])]
        ports.append({"name": "webhook", "containerPort": TLS})
        volumes.append({"name": "policies", "configMap": {"name": wanted.policies}})
        mounts.append({"name": "policies", "mountPath": "/policies"})
    container = {
        "name": NAME, "image": wanted.image, "args": arguments, "ports": ports, "volumeMounts": mounts,
        "env": [_field("POD_NAME", "metadata.name"), _field("POD_NAMESPACE", "metadata.namespace"),
                {"name": "XDG_CACHE_HOME", "value": "/data/cache"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
              "labelSelector": {"matchLabels": LABELS}}  # fmt: skip
    pod = {
        "serviceAccountName": NAME, "automountServiceAccountToken": True, "terminationGracePeriodSeconds": 60,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [spread], "containers": [container], "volumes": volumes,
    }  # fmt: skip
    spec = {
        "replicas": wanted.replicas, "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }  # fmt: skip
    return named("apps/v1", "Deployment", wanted, spec=spec)


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _service(wanted: Wanted, name: str, port: int, target: int) -> dict[str, Any]:
    ports = [{"name": "http" if target == HTTP else "https", "port": port, "targetPort": target}]
    return named("v1", "Service", wanted, name, spec={"selector": LABELS, "ports": ports})


def _budget(wanted: Wanted) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": LABELS}}
    return named("policy/v1", "PodDisruptionBudget", wanted, spec=spec)


def _network(wanted: Wanted) -> dict[str, Any]:
    """Who may ask it: over HTTP and as webhook; it asks the API server, Git hosts and stores, wherever they are."""
    ports = [{"port": HTTP, "protocol": "TCP"}]
    if "admission" in wanted.controllers:
        ports.append({"port": TLS, "protocol": "TCP"})
    asked = [{"port": port, "protocol": "TCP"} for port in (22, 443, 6443, 8200)]
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    spec = {
        "podSelector": {"matchLabels": LABELS}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": ports}], "egress": [{"ports": [*names, *asked]}],
    }  # fmt: skip
    return named("networking.k8s.io/v1", "NetworkPolicy", wanted, spec=spec)


def _webhook(wanted: Wanted) -> dict[str, Any]:
    service = {"name": f"{NAME}-webhook", "namespace": wanted.namespace, "path": "/validate", "port": 443}
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["*"],
        "scope": "*",
    }
    # What the cluster itself needs to go on, and what this needs to begin, asks nobody.
    names = ["kube-system", "kube-node-lease", wanted.namespace]
    spaces = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}]
    # Others that come very often, and are nobody's wish.
    often = [
        {
            "name": "no-heartbeats",
            "expression": "!(request.resource.resource in ['events', 'leases', 'endpointslices'])",
        }
    ]
    hook = {
        "name": "validate.gatekeeper-gitops.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": "Ignore" if wanted.fails_open else "Fail", "timeoutSeconds": 10, "matchPolicy": "Equivalent",
        "clientConfig": {"service": service}, "rules": [rule], "namespaceSelector": {"matchExpressions": spaces},
        "matchConditions": often,
    }  # fmt: skip
    whole = {"name": NAME, "labels": LABELS}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": whole, "webhooks": [hook]}
