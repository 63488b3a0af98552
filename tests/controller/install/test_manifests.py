"""What `controller manifests` prints is accepted by our own gate and by an API server, and its rights are enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.terminal.controller_options import CONTROLLERS
from tests.conftest import command
from tests.controller.argocd import test_applications
from tests.controller.deployment import controller, until
from tests.controller.flux.test_controller import CRDS, HOOKS, KUSTOMIZATIONS, RECEIVERS, REPOSITORIES, Place
from tests.controller.sealedsecrets.test_controller import opened, sealed, synced
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

IMAGE = "registry.example/gatekeeper@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ALL = ",".join(CONTROLLERS)
PLACES = {
    "ServiceAccount": "/api/v1",
    "Service": "/api/v1",
    "Deployment": "/apis/apps/v1",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1",
    "Role": "/apis/rbac.authorization.k8s.io/v1",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1",
    "PodDisruptionBudget": "/apis/policy/v1",
    "NetworkPolicy": "/apis/networking.k8s.io/v1",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1",
}
# Source: OPA Gatekeeper 3.21, `deploy/gatekeeper.yaml`: every object that it installs, and what its Helm chart adds.
OPA_NAMESPACE = "gatekeeper-system"
OPA_GATEKEEPER = {
    "gatekeeper-admin", "gatekeeper-audit", "gatekeeper-controller-manager", "gatekeeper-critical-pods", "gatekeeper-manager-role",
    "gatekeeper-manager-rolebinding", "gatekeeper-mutating-webhook-configuration", "gatekeeper-update-namespace-label",
    "gatekeeper-validating-webhook-configuration", "gatekeeper-webhook-server-cert", "gatekeeper-webhook-service",
}  # fmt: skip


def printed(*more: str) -> list[dict[str, Any]]:
    code, out, err = command("controller", "manifests", "--image", IMAGE, *more)
    assert (code, err) == (0, "")
    return list(yaml.safe_load_all(out))


@pytest.mark.parametrize("controllers", [*CONTROLLERS, ALL])
def test_the_gate_accepts_the_install_manifests(tmp_path: Path, controllers: str) -> None:
    values = printed("--controllers", controllers)
    if "admission" in controllers:
        meta = {"name": "gatekeeper-policies", "namespace": "gatekeeper-gitops"}
        values.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"gatekeeper.yaml": ""}})
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(values))
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: strict}\n")
    code, out, _ = command("check", tmp_path)
    assert code == 0, out
    # What is warned of is what the parts are for: to act for others, and to write Secrets.
    assert {line.split("[")[-1] for line in out.splitlines() if "warning:" in line} <= {
        "rbac/escalation]",
        "rbac/secrets]",
    }


def test_no_object_collides_with_opa_gatekeeper() -> None:
    for value in printed("--controllers", ALL):
        meta = value["metadata"]
        # The one other name is the Service that kubeseal looks for.
        assert meta["name"].startswith("gatekeeper-gitops") or meta["name"] == "sealed-secrets-controller"
        assert meta["name"] not in OPA_GATEKEEPER and meta["labels"]["app.kubernetes.io/name"] == "gatekeeper-gitops"
        assert OPA_NAMESPACE not in yaml.safe_dump(value)
    code, out, _ = command("controller", "--help")
    assert code == 0 and OPA_NAMESPACE not in out


def test_the_option_image_is_required() -> None:
    code, _, err = command("controller", "manifests")
    assert code == 2 and "--image" in err


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for one in (CRD, SOURCES, RECEIVERS, servers.CRD):
            found.make(CRDS, one)
        for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories", f"{HOOKS}/receivers"):
            found.wait(path)
        found.wait("/apis/bitnami.com/v1alpha1/sealedsecrets")
        for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
            found.make(CRDS, test_applications.definition(kind, plural))
            found.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
        for name in ("flux-system", "prod", "gatekeeper-gitops", "argocd"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        for value in printed("--controllers", ALL):
            plural = "networkpolicies" if value["kind"] == "NetworkPolicy" else f"{value['kind'].lower()}s"
            space = value["metadata"].get("namespace")
            found.make(f"{PLACES[value['kind']]}{f'/namespaces/{space}' if space else ''}/{plural}", value)
        # Nobody answers it here.
        found.ask("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/gatekeeper-gitops")
        yield found


def as_account(cluster: Cluster, folder: Path) -> Cluster:
    """The cluster as the ServiceAccount of the controller sees it, with its rights and no others."""
    path = "/api/v1/namespaces/gatekeeper-gitops/serviceaccounts/gatekeeper-gitops/token"
    code, answer = cluster.ask(
        "POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )
    assert code == 201
    value = yaml.safe_load(cluster.kubeconfig.read_text())
    value["users"][0]["user"] = {"token": answer["status"]["token"]}
    file = folder / "account.yaml"
    file.write_text(yaml.safe_dump(value))
    return cluster._replace(kubeconfig=file)


def test_the_rbac_rules_suffice_and_a_tenant_keeps_its_own_rights(cluster: Cluster, tmp_path: Path) -> None:
    place = Place(tmp_path / "root", cluster)
    place.put("apps/all.yaml", config("x"))
    place.put("far/all.yaml", config("y1", namespace="kube-system"))
    rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/prod"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]
    cluster.make("/api/v1/namespaces/flux-system/serviceaccounts", {"metadata": {"name": "tenant"}})
    cluster.make(f"{rights}/roles", {"metadata": {"name": "tenant"}, "rules": rules})
    who = [{"kind": "ServiceAccount", "name": "tenant", "namespace": "flux-system"}]
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
    cluster.make(f"{rights}/rolebindings", {"metadata": {"name": "tenant"}, "roleRef": ref, "subjects": who})
    run = ("--controllers", "flux,sealed", "-n", "gatekeeper-gitops")
    with controller(as_account(cluster, tmp_path), tmp_path, *run) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, flux(serviceAccountName="tenant"))
        cluster.make(KUSTOMIZATIONS, flux("far", serviceAccountName="tenant"))
        until(lambda: place.ready()[0] == "True" and place.data("x") == {"a": "1"}, running)
        until(lambda: place.ready("far")[1] == "ReconciliationFailed", running)
        assert "cannot get resource" in place.ready("far")[2]
        cluster.ask("PATCH", "/api/v1/namespaces/prod/configmaps/x", {"data": {"a": "changed"}})
        until(lambda: place.data("x") == {"a": "1"}, running)
        until(lambda: running.ask("/v1/cert.pem")[0] == 200, running)
        cluster.make("/apis/bitnami.com/v1alpha1/namespaces/prod/sealedsecrets", sealed(running, tmp_path))
        until(lambda: opened(cluster) is not None and synced(cluster)[0] == "True", running)
        assert not [one for one in running.said(level="warning") if "forbidden" in str(one["message"])]
        cluster.ask("DELETE", f"{KUSTOMIZATIONS}/apps")
        until(lambda: place.data("x") is None, running)


def test_an_application_is_applied_with_the_rights_of_its_projects_service_account(
    cluster: Cluster, tmp_path: Path
) -> None:
    place = test_applications.Place(tmp_path / "root", cluster)
    place.put("apps/all.yaml", config("x"))
    place.put("far/all.yaml", config("y1", namespace="kube-system"))
    rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/prod"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]
    cluster.make("/api/v1/namespaces/prod/serviceaccounts", {"metadata": {"name": "deployer"}})
    cluster.make(f"{rights}/roles", {"metadata": {"name": "deployer"}, "rules": rules})
    who = [{"kind": "ServiceAccount", "name": "deployer", "namespace": "prod"}]
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"}
    cluster.make(f"{rights}/rolebindings", {"metadata": {"name": "deployer"}, "roleRef": ref, "subjects": who})
    accounts = [{"server": "*", "namespace": "prod", "defaultServiceAccount": "deployer"}]
    cluster.make(test_applications.PROJECTS, test_applications.project(destinationServiceAccounts=accounts))
    run = ("--controllers", "argo", "-n", "gatekeeper-gitops")
    app = place.app()
    app["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io/background"]
    with controller(as_account(cluster, tmp_path), tmp_path, *run) as running:
        cluster.make(test_applications.APPS, app)
        cluster.make(test_applications.APPS, place.app("far"))
        until(lambda: place.state() == ("Synced", "Healthy", "Succeeded"), running)
        until(lambda: "cannot get resource" in place.message("far"), running)
        cluster.ask("PATCH", "/api/v1/namespaces/prod/configmaps/x", {"data": {"a": "changed"}})
        until(lambda: place.data("x") == {"a": "1"}, running)
        assert not [one for one in running.said(level="warning") if "forbidden" in str(one["message"])]
        cluster.ask("DELETE", f"{test_applications.APPS}/apps")
        until(lambda: place.data("x") is None, running)
