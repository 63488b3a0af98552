"""RBAC rules of the controller: each of its controllers gets only the rights that it uses.

Source: the requests that each controller makes; `docs/controller.md` says what they are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.named_tuple import NamedTuple

# No name here is one of OPA Gatekeeper, which may run in the same cluster and owns the namespace `gatekeeper-system`.
APP_NAME = "gatekeeper-gitops"
WEBHOOK_SERVICE = f"{APP_NAME}-webhook"
APP_LABELS = {"app.kubernetes.io/name": APP_NAME, "app.kubernetes.io/part-of": APP_NAME}
READ_VERBS = ["get", "list", "watch"]
PolicyRule = dict[str, Any]


class InstallOptions(NamedTuple):
    """Settings of an installation.

    Attributes:
        controllers: `flux`, `argo`, `sealed`, `external`, `admission`.
        policies: name of the ConfigMap with the policies of the admission webhook.
        is_fail_open: whether the API server accepts an object if the webhook cannot check it.
        argocd_namespace: namespace of Argo CD's own objects.
    """

    namespace: str
    image: str
    controllers: Sequence[str]
    replicas: int = 2
    policies: str = "gatekeeper-policies"
    is_fail_open: bool = False
    argocd_namespace: str = "argocd"


def build_object(
    api_version: str, kind: str, options: InstallOptions, name: str = APP_NAME, **more: Any
) -> dict[str, Any]:
    """Build an object in the controller's namespace.

    Args:
        more: further top-level fields.
    """
    metadata = {"name": name, "namespace": options.namespace, "labels": APP_LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _build_rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], resource_names: Sequence[str] = ()
) -> PolicyRule:
    rule: PolicyRule = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**rule, "resourceNames": list(resource_names)} if resource_names else rule


def _list_cluster_rules(options: InstallOptions) -> Iterator[PolicyRule]:
    """List the rules for all namespaces."""
    yield _build_rule("", ["events"], ["create"])
    if "flux" in options.controllers:
        yield _build_rule("source.toolkit.fluxcd.io", ["gitrepositories"], READ_VERBS)
        yield _build_rule("source.toolkit.fluxcd.io", ["gitrepositories/status"], ["patch"])
        yield _build_rule("kustomize.toolkit.fluxcd.io", ["kustomizations"], [*READ_VERBS, "patch"])
        yield _build_rule("kustomize.toolkit.fluxcd.io", ["kustomizations/status"], ["patch"])
        yield _build_rule("notification.toolkit.fluxcd.io", ["receivers"], READ_VERBS)
    if "argo" in options.controllers:
        yield _build_rule("argoproj.io", ["applications"], [*READ_VERBS, "patch"])
    if {"flux", "argo"} & set(options.controllers):
        # Objects are applied with the rights of the ServiceAccount that a Kustomization or AppProject names.
        yield _build_rule("", ["serviceaccounts"], ["get", "impersonate"])
        # Credentials of sources, decryption keys and substitution values; and the metadata of applied objects.
        yield _build_rule("", ["secrets"], ["get"])
        yield _build_rule("", ["configmaps", "services", "namespaces"], READ_VERBS)
        yield _build_rule("apps", ["deployments", "statefulsets", "daemonsets"], READ_VERBS)
        yield _build_rule("batch", ["cronjobs", "jobs"], READ_VERBS)
        yield _build_rule("networking.k8s.io", ["ingresses", "networkpolicies"], READ_VERBS)
    if "sealed" in options.controllers:
        yield _build_rule("bitnami.com", ["sealedsecrets"], READ_VERBS)
        yield _build_rule("bitnami.com", ["sealedsecrets/status"], ["patch"])
    if "external" in options.controllers:
        kinds = ["externalsecrets", "secretstores", "clustersecretstores", "clusterexternalsecrets"]
        yield _build_rule("external-secrets.io", kinds, READ_VERBS)
        yield _build_rule("external-secrets.io", ["externalsecrets/status", "clusterexternalsecrets/status"], ["patch"])
        yield _build_rule("", ["namespaces"], READ_VERBS)
        yield _build_rule("", ["configmaps", "serviceaccounts"], ["get"])
        yield _build_rule("", ["serviceaccounts/token"], ["create"])
        yield _build_rule("apps", ["deployments", "statefulsets", "daemonsets"], ["get", "list", "patch"])
    if {"sealed", "external"} & set(options.controllers):
        yield _build_rule("", ["secrets"], [*READ_VERBS, "create", "update", "delete"])
    if "admission" in options.controllers:
        hooks = ["validatingwebhookconfigurations"]
        yield _build_rule("admissionregistration.k8s.io", hooks, ["get", "update"], [APP_NAME])
        yield _build_rule(
            "wgpolicyk8s.io", ["policyreports", "clusterpolicyreports"], ["get", "list", "create", "patch", "delete"]
        )
        kinds = ["pods", "configmaps", "services", "serviceaccounts", "namespaces", "persistentvolumeclaims"]
        yield _build_rule("", kinds, ["list"])
        yield _build_rule("apps", ["deployments", "statefulsets", "daemonsets"], ["list"])
        yield _build_rule("batch", ["cronjobs", "jobs"], ["list"])
        yield _build_rule("networking.k8s.io", ["ingresses", "networkpolicies"], ["list"])
        yield _build_rule(
            "rbac.authorization.k8s.io", ["roles", "rolebindings", "clusterroles", "clusterrolebindings"], ["list"]
        )


def _list_namespace_rules(options: InstallOptions) -> Iterator[PolicyRule]:
    """List the rules for the controller's own namespace."""
    yield _build_rule("coordination.k8s.io", ["leases"], ["get", "list", "create", "update", "delete"])
    if "admission" in options.controllers:
        yield _build_rule("", ["secrets"], ["create"])
        yield _build_rule("", ["secrets"], ["get", "update"], [f"{WEBHOOK_SERVICE}-certificate"])


def build_rbac(options: InstallOptions) -> Iterator[dict[str, Any]]:
    """Build the roles of the controller's ServiceAccount, and their bindings."""
    api_version = "rbac.authorization.k8s.io/v1"
    subjects = [{"kind": "ServiceAccount", "name": APP_NAME, "namespace": options.namespace}]

    def ref(kind: str, name: str = APP_NAME) -> dict[str, str]:
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}

    cluster_metadata = {"name": APP_NAME, "labels": APP_LABELS}
    yield {
        "apiVersion": api_version,
        "kind": "ClusterRole",
        "metadata": cluster_metadata,
        "rules": list(_list_cluster_rules(options)),
    }
    yield {
        "apiVersion": api_version,
        "kind": "ClusterRoleBinding",
        "metadata": cluster_metadata,
        "roleRef": ref("ClusterRole"),
        "subjects": subjects,
    }
    yield build_object(api_version, "Role", options, rules=list(_list_namespace_rules(options)))
    yield build_object(api_version, "RoleBinding", options, roleRef=ref("Role"), subjects=subjects)
    if "argo" in options.controllers:
        rules = [
            _build_rule("argoproj.io", ["appprojects"], READ_VERBS),
            _build_rule("", ["secrets"], ["get", "list"]),
            _build_rule("", ["configmaps"], ["get"]),
        ]
        for kind, fields in (
            ("Role", {"rules": rules}),
            ("RoleBinding", {"roleRef": ref("Role", f"{APP_NAME}-argo"), "subjects": subjects}),
        ):
            metadata = {"name": f"{APP_NAME}-argo", "namespace": options.argocd_namespace, "labels": APP_LABELS}
            yield {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    if "sealed" in options.controllers:
        # The addresses of the API server, which forwards the requests of kubeseal.
        rules = [_build_rule("discovery.k8s.io", ["endpointslices"], ["list"])]
        for kind, fields in (
            ("Role", {"rules": rules}),
            ("RoleBinding", {"roleRef": ref("Role", f"{APP_NAME}-api-server"), "subjects": subjects}),
        ):
            metadata = {"name": f"{APP_NAME}-api-server", "namespace": "default", "labels": APP_LABELS}
            yield {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
