"""The wire format, both ways, with the real kubeseal: what it seals we open, and what we seal it opens."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gatekeeper.host.process import run_command
from tests.conftest import command
from tests.servers import server

SCOPES = ("strict", "namespace-wide", "cluster-wide")
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "db", "namespace": "prod", "labels": {"app": "shop"}, "annotations": {"note": "kept"}},
    "type": "Opaque",
    "data": {
        "password": base64.b64encode(b"hunter2").decode(),
        "empty": "",
        "bytes": base64.b64encode(bytes(range(256))).decode(),
    },
    "stringData": {"text": "grün\n"},
}
VALUES = {"password": b"hunter2", "empty": b"", "bytes": bytes(range(256)), "text": "grün\n".encode()}


def pair(folder: Path, bits: int = 2048, days: int = 30) -> tuple[Path, Path]:
    """A certificate and its private key, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealed-secrets")])
    now = datetime.datetime.now(tz=datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    starts, ends = sorted((now - datetime.timedelta(days=1), now + datetime.timedelta(days=days)))
    made = built.serial_number(1).not_valid_before(starts).not_valid_after(ends).sign(key, hashes.SHA256())
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate, private


@pytest.fixture(scope="module", params=[2048, 4096])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pair(tmp_path_factory.mktemp("keys"), request.param)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.json"
    path.write_bytes(orjson.dumps(SECRET))
    return path


def opened(text: str) -> dict[str, bytes]:
    held = orjson.loads(text).get("data", {})
    return {key: base64.b64decode(value or "") for key, value in held.items()}


def kubeseal(*arguments: str | Path, stdin: bytes | None = None) -> str:
    code, out, words = run_command([server("kubeseal"), *arguments], 60, stdin=stdin)
    assert code == 0, words
    return out.decode()


@pytest.mark.parametrize("scope", SCOPES)
def test_what_we_seal_the_real_one_opens(keys: tuple[Path, Path], secret: Path, tmp_path: Path, scope: str) -> None:
    target = tmp_path / "sealed.json"
    code, _, err = command("seal", "--cert", keys[0], "--scope", scope, "-f", secret, "-w", target)
    assert (code, err) == (0, "")
    assert "hunter2" not in target.read_text()
    out = kubeseal("--recovery-unseal", "--recovery-private-key", keys[1], stdin=target.read_bytes())
    assert opened(out) == VALUES
    held = orjson.loads(out)
    assert held["metadata"]["labels"] == {"app": "shop"} and held["metadata"]["annotations"]["note"] == "kept"
    assert held["type"] == "Opaque"


@pytest.mark.parametrize("scope", SCOPES)
def test_what_the_real_one_seals_we_open(keys: tuple[Path, Path], secret: Path, tmp_path: Path, scope: str) -> None:
    target = tmp_path / "sealed.yaml"
    target.write_text(kubeseal("--cert", keys[0], "--scope", scope, "-o", "yaml", stdin=secret.read_bytes()))
    code, out, err = command("unseal", "--key", keys[1], "-f", target)
    assert (code, err) == (0, "")
    assert opened(out) == VALUES


@pytest.mark.parametrize("scope", SCOPES)
def test_one_raw_value_fits_into_a_file_of_the_real_one(
    keys: tuple[Path, Path], secret: Path, tmp_path: Path, scope: str
) -> None:
    value = tmp_path / "value"
    value.write_bytes(b"\x00\xffraw\n")
    place = ["-n", "prod", "--name", "db"] if scope != "cluster-wide" else []
    code, raw, err = command("seal", "--raw", "--cert", keys[0], "--scope", scope, "--from-file", value, *place)
    assert (code, err) == (0, "")
    held = orjson.loads(kubeseal("--cert", keys[0], "--scope", scope, "-o", "json", stdin=secret.read_bytes()))
    held["spec"]["encryptedData"] = {"raw": raw.strip()}
    out = kubeseal("--recovery-unseal", "--recovery-private-key", keys[1], stdin=orjson.dumps(held))
    assert opened(out) == {"raw": b"\x00\xffraw\n"}


def test_the_controllers_own_secrets_are_keys_too(keys: tuple[Path, Path], secret: Path, tmp_path: Path) -> None:
    _, other = pair(tmp_path / "other")
    items = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"sealed-secrets-key{n}", "creationTimestamp": f"2026-0{n + 1}-01T00:00:00Z"},
            "data": {"tls.key": base64.b64encode(path.read_bytes()).decode()},
        }
        for n, path in enumerate((keys[1], other))
    ]
    ring = tmp_path / "ring.json"
    ring.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    target = tmp_path / "sealed.json"
    command("seal", "--cert", keys[0], "-f", secret, "-w", target)
    code, out, _ = command("unseal", "--key", ring, "-f", target)
    assert code == 0 and opened(out) == VALUES
