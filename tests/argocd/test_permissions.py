"""An Application that its AppProject does not permit is denied, and not called a sealing failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper.argocd import application_spec, permissions
from gatekeeper.cluster import client
from gatekeeper.errors import DeniedError, SecretFileError, SpecError

APPLICATION: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "shop", "namespace": "argocd"},
    "spec": {
        "project": "team",
        "source": {"repoURL": "https://example.com/r", "path": "."},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"},
    },
}


def project(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "team"}, "spec": spec}


@pytest.mark.parametrize("value", [None, project(), project(sourceRepos=["https://example.com/other"])])
def test_missing_or_narrow_project_denies_the_application(value: dict[str, Any] | None, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )
    application = application_spec.parse_application(APPLICATION)
    with client.connect(kubeconfig) as cluster, pytest.raises(DeniedError) as caught:
        permissions.resolve_permissions(cluster, "argocd", application, value)
    assert isinstance(caught.value, SpecError) and not isinstance(caught.value, SecretFileError)
    assert caught.value.exit_code == 1
