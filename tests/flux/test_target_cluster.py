"""The cluster that a Kustomization is applied to, with only the rights of its ServiceAccount."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.flux import target_cluster
from gatekeeper.flux.kustomization_spec import parse_kustomization_spec
from tests.flux.conftest import CONFIG_MAPS, FluxCluster
from tests.flux.test_reconciler import flux

SECRETS = "/api/v1/namespaces/flux-system/secrets"


def resolve(cluster: FluxCluster, **spec: Any) -> Any:
    return target_cluster.resolve_cluster(cluster.client, "flux-system", parse_kustomization_spec(flux(**spec)))


def test_without_other_fields_it_is_the_cluster_of_the_kustomization(flux_cluster: FluxCluster) -> None:
    assert resolve(flux_cluster) is flux_cluster.client


def test_a_service_account_has_its_own_rights_only(flux_cluster: FluxCluster) -> None:
    flux_cluster.create_config_map("a")
    with pytest.raises(ToolError, match="system:serviceaccount:flux-system:shop"):
        resolve(flux_cluster, serviceAccountName="shop").get(CONFIG_MAPS, "prod", "a")


def test_a_missing_secret_or_key_is_an_error_and_never_the_own_cluster(flux_cluster: FluxCluster) -> None:
    with pytest.raises(ToolError, match="kubeconfig Secret flux-system/remote not found"):
        resolve(flux_cluster, kubeConfig={"secretRef": {"name": "remote"}})
    flux_cluster.server.make(SECRETS, {"metadata": {"name": "remote"}, "stringData": {"other": "hidden-word"}})
    for key, expected in (({}, "value"), ({"key": "mine"}, "mine")):
        with pytest.raises(ToolError, match=f"flux-system/remote has no `{expected}`") as caught:
            resolve(flux_cluster, kubeConfig={"secretRef": {"name": "remote", **key}})
        assert "hidden-word" not in str(caught.value)


def test_a_kubeconfig_that_runs_a_program_is_refused(flux_cluster: FluxCluster) -> None:
    text = (
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {exec: {command: id, apiVersion: client.authentication.k8s.io/v1}}}]\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )
    flux_cluster.server.make(SECRETS, {"metadata": {"name": "remote"}, "stringData": {"value": text}})
    with pytest.raises(ToolError, match="exec"):
        resolve(flux_cluster, kubeConfig={"secretRef": {"name": "remote"}})
