"""What the controller may do in a cluster: no more than its parts use.

Source: the requests that each part makes; `docs/controller.md` says what for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

NAME = "gatekeeper"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": NAME}
READ = ["get", "list", "watch"]
Rule = dict[str, Any]


class Wanted(NamedTuple):
    """What is to run.

    Attributes:
        controllers: `flux`, `argo`, `sealed`, `external`, `admission`.
        argo: the namespace of Argo CD's own objects.
    """

    namespace: str
    image: str
    controllers: Sequence[str]
    replicas: int = 2
    policies: str = "gatekeeper-policies"
    fails_open: bool = False
    argo: str = "argocd"


def named(api_version: str, kind: str, wanted: Wanted, name: str = NAME, **more: Any) -> dict[str, Any]:
    """An object of the controller's namespace."""
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
    if "argo" in wanted.controllers:
        yield _rule("argoproj.io", ["applications"], [*READ, "patch"])
    if {"flux", "argo"} & set(wanted.controllers):
        # What is applied is applied with the rights of the ServiceAccount that a Kustomization or a project names.
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
        yield _rule("external-secrets.io", ["externalsecrets/status", "clusterexternalsecrets/status"], ["patch"])
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


def of(wanted: Wanted) -> Iterator[dict[str, Any]]:
    """ServiceAccount's roles, and that it has them."""
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
    yield named(rights, "Role", wanted, rules=list(_at_home(wanted)))
    yield named(rights, "RoleBinding", wanted, roleRef=ref("Role"), subjects=who)
    if "argo" in wanted.controllers:
        own = [
            _rule("argoproj.io", ["appprojects"], READ),
            _rule("", ["secrets"], ["get", "list"]),
            _rule("", ["configmaps"], ["get"]),
        ]
        for kind, more in (
            ("Role", {"rules": own}),
            ("RoleBinding", {"roleRef": ref("Role", f"{NAME}-argo"), "subjects": who}),
        ):
            metadata = {"name": f"{NAME}-argo", "namespace": wanted.argo, "labels": LABELS}
            yield {"apiVersion": rights, "kind": kind, "metadata": metadata, **more}
    if "sealed" in wanted.controllers:
        # From where the API server asks it on behalf of kubeseal.
        slices = [_rule("discovery.k8s.io", ["endpointslices"], ["list"])]
        for kind, more in (
            ("Role", {"rules": slices}),
            ("RoleBinding", {"roleRef": ref("Role", f"{NAME}-api-server"), "subjects": who}),
        ):
            metadata = {"name": f"{NAME}-api-server", "namespace": "default", "labels": LABELS}
            yield {"apiVersion": rights, "kind": kind, "metadata": metadata, **more}
