"""A kubeconfig that cannot be used is a usage error that names the file; a silent cluster is a tool error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.cluster import client
from gatekeeper.cluster.secrets import read_secret
from gatekeeper.errors import ToolError, UsageError

CLUSTERS = "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: a, user: {}}]\n"
CONTEXTS = "contexts: [{name: a, context: {cluster: a, user: a}}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("hello", "not a kubeconfig with this context"),
        (CLUSTERS + CONTEXTS, "not a kubeconfig with this context"),
        (CLUSTERS + "current-context: b\n" + CONTEXTS, "not a kubeconfig with this context"),
    ],
)
def test_unusable_kubeconfig_is_a_usage_error(text: str | None, message: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if text is not None:
        kubeconfig.write_text(text)
    with pytest.raises(UsageError, match=message), client.connect(kubeconfig):
        pass


def test_silent_cluster_is_named_by_its_kubeconfig(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(CLUSTERS + CONTEXTS)
    with client.connect(kubeconfig, "a") as cluster, pytest.raises(ToolError) as error:
        read_secret(cluster, "prod", "x")
    assert str(error.value) == f"secrets x: the cluster of {kubeconfig} does not answer (ConnectError)"


def test_certificate_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    missing = tmp_path / "ca.crt"
    server = f"clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:9', certificate-authority: {missing}}}}}]\n"
    kubeconfig.write_text(server + "users: [{name: a, user: {}}]\ncurrent-context: a\n" + CONTEXTS)
    with pytest.raises(UsageError), client.connect(kubeconfig):
        pass
