"""The real sealed-secrets controller against a real API server opens what we seal, and takes the keys that we make."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.sealedsecrets.scope import SCOPES
from tests.conftest import command, needs
from tests.sealedsecrets.test_kubeseal_compatibility import SECRET, VALUES, kubeseal
from tests.sealedsecrets.test_sealedsecret import FILLED, TEMPLATES
from tests.servers import cluster as servers
from tests.servers import sealed_secrets_controller
from tests.servers.cluster import Cluster

SEALED = "/apis/bitnami.com/v1alpha1/namespaces/{}/sealedsecrets"
SECRETS = "/api/v1/namespaces/{}/secrets"


class Ours:
    """A cluster in which the controller uses keys that `gatekeeper keys new` made."""

    def __init__(self, cluster: Cluster, url: str, certificates: dict[int, Path], keys: dict[int, Path]) -> None:
        self.cluster, self.url, self.certificates, self.keys = cluster, url, certificates, keys

    def put(self, value: dict[str, Any]) -> Any:
        """Applies a SealedSecret, and waits for its Secret."""
        space, name = value["metadata"]["namespace"], value["metadata"]["name"]
        self.cluster.make(SEALED.format(space), value)
        return self.cluster.wait(f"{SECRETS.format(space)}/{name}", 20)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    folder = tmp_path_factory.mktemp("cluster")
    with servers.running(folder) as cluster:
        cluster.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", servers.CRD)
        cluster.wait("/apis/bitnami.com/v1alpha1/sealedsecrets")
        cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        certificates, keys = {}, {}
        for bits in (4096, 2048):
            certificates[bits], keys[bits] = folder / f"{bits}.pem", folder / f"{bits}.yaml"
            code, _, err = command(
                "keys",
                "new",
                "--bits",
                str(bits),
                "--certificate",
                certificates[bits],
                "--private",
                keys[bits],
                "--kubeconfig",
                cluster.kubeconfig,
            )
            assert (code, err) == (0, "")
        with sealed_secrets_controller.running(cluster, folder) as url:
            yield Ours(cluster, url, certificates, keys)


def sealed(tmp_path: Path, certificate: str | Path, scope: str, name: str, **more: Any) -> dict[str, Any]:
    secret = {**SECRET, "metadata": {**SECRET["metadata"], "name": name}, **more}
    path = tmp_path / "secret.json"
    path.write_bytes(orjson.dumps(secret))
    code, out, err = command("seal", "--cert", certificate, "--scope", scope, "-f", path)
    assert (code, err) == (0, "")
    value: dict[str, Any] = orjson.loads(out)
    return value


def data_of(secret: Any) -> dict[str, bytes]:
    return {key: base64.b64decode(text or "") for key, text in secret["data"].items()}


@pytest.mark.parametrize("bits", [2048, 4096])
@pytest.mark.parametrize("scope", SCOPES)
def test_the_controller_opens_what_we_seal(ours: Ours, tmp_path: Path, scope: str, bits: int) -> None:
    value = sealed(tmp_path, ours.certificates[bits], scope, f"db-{scope}-{bits}", immutable=True)
    found = ours.put(value)
    assert data_of(found) == VALUES and found["type"] == "Opaque" and found["immutable"] is True
    assert found["metadata"]["labels"] == {"app": "shop"} and found["metadata"]["annotations"]["note"] == "kept"


def test_its_certificate_is_fetched_and_sealed_for(ours: Ours, tmp_path: Path) -> None:
    assert data_of(ours.put(sealed(tmp_path, ours.url, "strict", "fetched"))) == VALUES


def test_a_wide_scope_is_opened_under_another_name_and_a_strict_one_is_not(ours: Ours, tmp_path: Path) -> None:
    for scope, is_opened in (("cluster-wide", True), ("namespace-wide", True), ("strict", False)):
        value = sealed(tmp_path, ours.certificates[2048], scope, "before")
        for holder in (value, value["spec"]["template"]):
            holder["metadata"]["name"] = f"after-{scope}"
        if is_opened:
            assert data_of(ours.put(value)) == VALUES
        else:
            path = tmp_path / "moved.json"
            path.write_bytes(orjson.dumps(value))
            assert command("unseal", "--key", ours.keys[2048], "-f", path)[0] == 1


@needs("gatekeeper-upstream")
def test_templates_are_filled_as_the_controller_fills_them(ours: Ours, tmp_path: Path) -> None:
    value = sealed(tmp_path, ours.certificates[2048], "strict", "templated")
    value["spec"]["template"]["data"] = TEMPLATES
    path = tmp_path / "templated.json"
    path.write_bytes(orjson.dumps(value))
    theirs = data_of(ours.put(value))
    assert FILLED.items() <= theirs.items()
    assert data_of(orjson.loads(command("unseal", "--key", ours.keys[2048], "-f", path)[1])) == theirs


def test_resealed_file_for_the_newest_key_is_decrypted(ours: Ours, tmp_path: Path) -> None:
    value = sealed(tmp_path, ours.certificates[4096], "strict", "renewed")
    path = tmp_path / "renewed.json"
    path.write_bytes(orjson.dumps(value))
    code, out, err = command("reseal", "--key", ours.keys[4096], "--cert", ours.url, path)
    assert (code, err) == (0, "") and "renewed.json" in out
    assert data_of(ours.put(orjson.loads(path.read_bytes()))) == VALUES


def test_its_keys_are_exported_and_open_what_it_seals(ours: Ours, tmp_path: Path) -> None:
    backup, newest = tmp_path / "backup.yaml", tmp_path / "newest.pem"
    at = ("--kubeconfig", ours.cluster.kubeconfig)
    code, out, err = command("keys", "export", *at, "--private", backup, "--certificate", newest)
    assert (code, err) == (0, "") and "2 private keys" in out
    listed = command("keys", "list", *at)[1]
    assert listed.count("valid to") == 2 and "PRIVATE" not in listed
    value = kubeseal("--cert", newest, "-o", "json", stdin=orjson.dumps(SECRET))
    path = tmp_path / "sealed.json"
    path.write_text(value)
    found = orjson.loads(command("unseal", "--key", backup, "-f", path)[1])
    assert data_of(found) == VALUES == data_of(ours.put(orjson.loads(value)))
