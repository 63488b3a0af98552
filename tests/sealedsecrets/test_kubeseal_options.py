"""The options of `gatekeeper seal`, in each combination, mean what they mean to the real kubeseal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gatekeeper.host.process import run_command
from gatekeeper.sealedsecrets import crypto
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from tests.conftest import command
from tests.sealedsecrets.test_kubeseal_compatibility import (
    PREFIX,
    SCOPES,
    SECRET,
    VALUES,
    kubeseal,
    opened,
    pair,
    strip_ciphertext,
)
from tests.servers import server

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "a",
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {}}],
}
FLAGS: list[tuple[str | None, ...]] = [
    (scope, annotation, home, namespace, name)
    for scope in (None, *SCOPES)
    for annotation in (None, "namespace-wide", "cluster-wide")
    for home in (None, "prod")
    for namespace in (None, "prod", "other")
    for name in (None, "web")
]


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pair(tmp_path_factory.mktemp("pair"))


def build_options(scope: str | None, namespace: str | None, name: str | None) -> list[str]:
    options = (("--scope", scope), ("--namespace", namespace), ("--name", name))
    return [word for option, value in options if value for word in (option, value)]


@pytest.mark.parametrize(("scope", "annotation", "home", "namespace", "name"), FLAGS)
def test_each_combination_of_options_seals_as_the_real_one(
    key_pair: tuple[Path, Path],
    tmp_path: Path,
    scope: str | None,
    annotation: str | None,
    home: str | None,
    namespace: str | None,
    name: str | None,
) -> None:
    metadata: dict[str, Any] = {"name": "db"}
    if annotation:
        metadata["annotations"] = {PREFIX + annotation: "true"}
    if home:
        metadata["namespace"] = home
    (tmp_path / "secret.json").write_bytes(orjson.dumps({**SECRET, "metadata": metadata}))
    arguments: list[str | Path] = [
        "--cert",
        key_pair[0],
        "-f",
        tmp_path / "secret.json",
        *build_options(scope, namespace, name),
    ]
    # The real one takes the namespace of the current kubectl context, which is `default` here, or fails without one.
    (tmp_path / "kubeconfig").write_bytes(orjson.dumps(KUBECONFIG))
    program: list[str | Path] = [server("kubeseal"), "--kubeconfig", tmp_path / "kubeconfig"]
    code, theirs, _ = run_command([*program, *arguments], 60)
    our_code, ours, _ = command("seal", *arguments)
    assert our_code == code
    if code == 0:
        assert strip_ciphertext(ours) == strip_ciphertext(theirs)
    if code == 0 and not name:
        found = kubeseal("--recovery-unseal", "--recovery-private-key", key_pair[1], stdin=ours.encode())
        assert opened(found) == VALUES


@pytest.mark.parametrize("output", [None, "json", "yaml"])
@pytest.mark.parametrize("ending", ["json", "yaml", "yml", "txt"])
def test_the_format_is_that_of_the_real_one(
    key_pair: tuple[Path, Path], tmp_path: Path, output: str | None, ending: str
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_bytes(orjson.dumps(SECRET))
    options: list[str | Path] = ["--cert", key_pair[0], "-f", secret, *(["-o", output] if output else [])]
    theirs, ours = tmp_path / f"theirs.{ending}", tmp_path / f"ours.{ending}"
    kubeseal(*options, "-w", theirs)
    assert command("seal", *options, "-w", ours)[0] == 0
    assert ours.read_text().startswith("{") == theirs.read_text().startswith("{")


RAW: list[tuple[str | None, ...]] = [
    (scope, namespace, name)
    for scope in (None, *SCOPES)
    for namespace in (None, "prod")
    for name in (None, "db")
    # The real one takes the namespace of the current kubectl context, which differs between machines: ours wants one.
    if scope == "cluster-wide" or namespace
]


@pytest.mark.parametrize(("scope", "namespace", "name"), RAW)
def test_each_raw_value_is_bound_as_by_the_real_one(
    key_pair: tuple[Path, Path], tmp_path: Path, scope: str | None, namespace: str | None, name: str | None
) -> None:
    (tmp_path / "value").write_bytes(b"hunter2")
    options = build_options(scope, namespace, name)
    arguments: list[str | Path] = ["--raw", "--cert", key_pair[0], "--from-file", tmp_path / "value", *options]
    code, theirs, _ = run_command([server("kubeseal"), *arguments], 60)
    our_code, ours, _ = command("seal", *arguments)
    assert (our_code == 0) == (code == 0)
    if code == 0:
        label = sealedsecrets_scope.build_label(scope or "strict", namespace or "", name or "")
        private = serialization.load_pem_private_key(key_pair[1].read_bytes(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        for text in (ours, theirs.decode()):
            assert crypto.unseal_value(text.strip(), [private], label)[0].reveal() == b"hunter2"
