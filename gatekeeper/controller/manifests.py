"""What a cluster needs for the controller to run in it: with no more rights than its parts use.

Source: the requests that each part makes; `docs/controller.md` says what for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

NAME = "gatekeeper"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": NAME}
READ = ["get", "list", "watch"]
HTTP, TLS = 8080, 9443
Rule = dict[str, Any]


class Wanted(NamedTuple):
    """What is to run.

    Attributes:
        controllers: `flux`, `sealed`, `external`, `admission`.
        more: options that `run` has been given besides.
    """

    namespace: str
    image: str
    controllers: Sequence[str]
    replicas: int = 2
    policies: str = "gatekeeper-policies"
    fails_open: bool = False


def manifests(wanted: Wanted) -> list[dict[str, Any]]:
    """All objects, in the order in which they are applied."""
    found = [
        _object("v1", "ServiceAccount", wanted, automountServiceAccountToken=False),
        *_rights(wanted),
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


def _object(api_version: str, kind: str, wanted: Wanted, name: str = NAME, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": wanted.namespace, "labels": LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Rule:
    found: Rule = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def _everywhere(wanted: Wanted) -> Iterator[Rule]:
    """The rights on all namespaces."""
    yield _rule("", ["events"], ["create"])
    if "flux" in wanted.controllers:
        yield _rule("source.toolkit.fluxcd.io", ["gitrepositories"], READ)
        yield _rule("source.toolkit.fluxcd.io", ["gitrepositories/status"], ["patch"])
        yield _rule("kustomize.toolkit.fluxcd.io", ["kustomizations"], [*READ, "patch"])
        yield _rule("kustomize.toolkit.fluxcd.io", ["kustomizations/status"], ["patch"])
        yield _rule("notification.toolkit.fluxcd.io", ["receivers"], READ)
        # What is applied is applied with the rights of the ServiceAccount that a Kustomization names.
        yield _rule("", ["serviceaccounts"], ["get", "impersonate"])
        # Credentials of sources, keys to decrypt with, values to substitute; and what drifts, by its metadata.
        yield _rule("", ["secrets"], ["get"])
        yield _rule("", ["configmaps", "services", "namespaces"], READ)
        yield _rule("apps", ["deployments", "statefulsets", "daemonsets"], READ)
        yield _rule("batch", ["cronjobs", "jobs"], READ)
        yield _rule("networking.k8s.io", ["ingresses", "networkpolicies"], READ)
    if "sealed" in wanted.controllers:
        yield _rule("bitnami.com", ["sealedsecrets"], READ)
        yield _rule("bitnami.com", ["sealedsecrets/status"], ["patch"])
    if "external" in wanted.controllers:
        kinds = ["externalsecrets", "secretstores", "clustersecretstores", "clusterexternalsecrets"]
        yield _rule("external-secrets.io", kinds, READ)
        yield _rule("external-secrets.io", ["externalsecrets/status"], ["patch"])
        yield _rule("", ["namespaces"], READ)
        yield _rule("", ["configmaps", "serviceaccounts"], ["get"])
        yield _rule("", ["serviceaccounts/token"], ["create"])
        yield _rule("apps", ["deployments", "statefulsets", "daemonsets"], ["get", "list", "patch"])
    if {"sealed", "external"} & set(wanted.controllers):
        yield _rule("", ["secrets"], [*READ, "create", "update", "delete"])
    if "admission" in wanted.controllers:
        hooks = ["validatingwebhookconfigurations"]
        yield _rule("admissionregistration.k8s.io", hooks, ["get", "update"], [NAME])
        yield _rule(
            "wgpolicyk8s.io", ["policyreports", "clusterpolicyreports"], ["get", "list", "create", "patch", "delete"]
        )
        kinds = ["pods", "configmaps", "services", "serviceaccounts", "namespaces", "persistentvolumeclaims"]
        yield _rule("", kinds, ["list"])
        yield _rule("apps", ["deployments", "statefulsets", "daemonsets"], ["list"])
        yield _rule("batch", ["cronjobs", "jobs"], ["list"])
        yield _rule("networking.k8s.io", ["ingresses", "networkpolicies"], ["list"])
        yield _rule(
            "rbac.authorization.k8s.io", ["roles", "rolebindings", "clusterroles", "clusterrolebindings"], ["list"]
        )


def _at_home(wanted: Wanted) -> Iterator[Rule]:
    """The rights in its own namespace."""
    yield _rule("coordination.k8s.io", ["leases"], ["get", "list", "create", "update", "delete"])
    if "admission" in wanted.controllers:
        yield _rule("", ["secrets"], ["create"])
        yield _rule("", ["secrets"], ["get", "update"], [f"{NAME}-webhook-certificate"])


def _rights(wanted: Wanted) -> Iterator[dict[str, Any]]:
    rights = "rbac.authorization.k8s.io/v1"
    who = [{"kind": "ServiceAccount", "name": NAME, "namespace": wanted.namespace}]

    def ref(kind: str, name: str = NAME) -> dict[str, str]:
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}

    wide = {"name": NAME, "labels": LABELS}
    yield {"apiVersion": rights, "kind": "ClusterRole", "metadata": wide, "rules": list(_everywhere(wanted))}
    yield {
        "apiVersion": rights,
        "kind": "ClusterRoleBinding",
        "metadata": wide,
        "roleRef": ref("ClusterRole"),
        "subjects": who,
    }
    yield _object(rights, "Role", wanted, rules=list(_at_home(wanted)))
    yield _object(rights, "RoleBinding", wanted, roleRef=ref("Role"), subjects=who)
    if "sealed" in wanted.controllers:
        # From where the API server asks it on behalf of kubeseal.
        slices = [_rule("discovery.k8s.io", ["endpointslices"], ["list"])]
        for kind, more in (
            ("Role", {"rules": slices}),
            ("RoleBinding", {"roleRef": ref("Role", f"{NAME}-api-server"), "subjects": who}),
        ):
            metadata = {"name": f"{NAME}-api-server", "namespace": "default", "labels": LABELS}
            yield {"apiVersion": rights, "kind": kind, "metadata": metadata, **more}


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
    return _object("apps/v1", "Deployment", wanted, spec=spec)


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _service(wanted: Wanted, name: str, port: int, target: int) -> dict[str, Any]:
    ports = [{"name": "http" if target == HTTP else "https", "port": port, "targetPort": target}]
    return _object("v1", "Service", wanted, name, spec={"selector": LABELS, "ports": ports})


def _budget(wanted: Wanted) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": LABELS}}
    return _object("policy/v1", "PodDisruptionBudget", wanted, spec=spec)


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
    return _object("networking.k8s.io/v1", "NetworkPolicy", wanted, spec=spec)


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
