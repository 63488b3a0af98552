"""What the controller may do in a cluster: no more than its parts use.

Source: the requests that each part makes; `docs/controller.md` says what for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

# No name here is one of OPA Gatekeeper, which may run in the same cluster and owns the namespace `gatekeeper-system`.
APP_NAME = "gatekeeper-gitops"
WEBHOOK_SERVICE = f"{APP_NAME}-webhook"
APP_LABELS = {"app.kubernetes.io/name": APP_NAME, "app.kubernetes.io/part-of": APP_NAME}
READ_VERBS = ["get", "list", "watch"]
PolicyRule = dict[str, Any]


class InstallOptions(NamedTuple):
    """What is to run.

    Attributes:
        controllers: `flux`, `argo`, `sealed`, `external`, `admission`.
        argocd_namespace: the namespace of Argo CD's own objects.
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
    """An object of the controller's namespace."""
    metadata = {"name": name, "namespace": options.namespace, "labels": APP_LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _build_rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], resource_names: Sequence[str] = ()
) -> PolicyRule:
    found: PolicyRule = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**found, "resourceNames": list(resource_names)} if resource_names else found


def _list_cluster_rules(options: InstallOptions) -> Iterator[PolicyRule]:
    """The rights on all namespaces."""
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
        # What is applied is applied with the rights of the ServiceAccount that a Kustomization or a project names.
        yield _build_rule("", ["serviceaccounts"], ["get", "impersonate"])
        # Credentials of sources, keys to decrypt with, values to substitute; and what drifts, by its metadata.
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
    """The rights in its own namespace."""
    yield _build_rule("coordination.k8s.io", ["leases"], ["get", "list", "create", "update", "delete"])
    if "admission" in options.controllers:
        yield _build_rule("", ["secrets"], ["create"])
        yield _build_rule("", ["secrets"], ["get", "update"], [f"{WEBHOOK_SERVICE}-certificate"])


def build_rbac(options: InstallOptions) -> Iterator[dict[str, Any]]:
    """ServiceAccount's roles, and that it has them."""
    rights = "rbac.authorization.k8s.io/v1"
    who = [{"kind": "ServiceAccount", "name": APP_NAME, "namespace": options.namespace}]

    def ref(kind: str, name: str = APP_NAME) -> dict[str, str]:
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}

    wide = {"name": APP_NAME, "labels": APP_LABELS}
    yield {"apiVersion": rights, "kind": "ClusterRole", "metadata": wide, "rules": list(_list_cluster_rules(options))}
    yield {
        "apiVersion": rights,
        "kind": "ClusterRoleBinding",
        "metadata": wide,
        "roleRef": ref("ClusterRole"),
        "subjects": who,
    }
    yield build_object(rights, "Role", options, rules=list(_list_namespace_rules(options)))
    yield build_object(rights, "RoleBinding", options, roleRef=ref("Role"), subjects=who)
    if "argo" in options.controllers:
        own = [
            _build_rule("argoproj.io", ["appprojects"], READ_VERBS),
            _build_rule("", ["secrets"], ["get", "list"]),
            _build_rule("", ["configmaps"], ["get"]),
        ]
        for kind, more in (
            ("Role", {"rules": own}),
            ("RoleBinding", {"roleRef": ref("Role", f"{APP_NAME}-argo"), "subjects": who}),
        ):
            metadata = {"name": f"{APP_NAME}-argo", "namespace": options.argocd_namespace, "labels": APP_LABELS}
            yield {"apiVersion": rights, "kind": kind, "metadata": metadata, **more}
    if "sealed" in options.controllers:
        # From where the API server asks it on behalf of kubeseal.
        slices = [_build_rule("discovery.k8s.io", ["endpointslices"], ["list"])]
        for kind, more in (
            ("Role", {"rules": slices}),
            ("RoleBinding", {"roleRef": ref("Role", f"{APP_NAME}-api-server"), "subjects": who}),
        ):
            metadata = {"name": f"{APP_NAME}-api-server", "namespace": "default", "labels": APP_LABELS}
            yield {"apiVersion": rights, "kind": kind, "metadata": metadata, **more}
