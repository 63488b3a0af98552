"""The wire format, both ways, with the real kubeseal: each tool unseals the values of the other."""

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatekeeper.errors import SecretFileError
from gatekeeper.host.process import run_command
from gatekeeper.sealedsecrets import keyring, sealedsecret
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from tests.conftest import command
from tests.servers import server

PREFIX = "sealedsecrets.bitnami.com/"
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
def test_value_that_we_seal_is_unsealed_by_kubeseal(
    keys: tuple[Path, Path], secret: Path, tmp_path: Path, scope: str
) -> None:
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
def test_value_sealed_by_kubeseal_is_unsealed(
    keys: tuple[Path, Path], secret: Path, tmp_path: Path, scope: str
) -> None:
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


METADATA: list[tuple[dict[str, Any], str]] = [
    ({"annotations": {PREFIX + "managed": "true", PREFIX + "patch": "true"}}, ""),
    ({"annotations": {PREFIX + "skip-set-owner-references": "true", "note": "kept"}}, ""),
    ({"annotations": {PREFIX + "cluster-wide": "false", PREFIX + "namespace-wide": "true"}}, ""),
    ({"annotations": {PREFIX + "cluster-wide": "true", PREFIX + "namespace-wide": "true"}}, ""),
    ({"annotations": {PREFIX + "cluster-wide": "true", PREFIX + "managed": "true"}}, "namespace-wide"),
    ({"annotations": {PREFIX + "strict": "true", PREFIX + "other": ""}}, ""),
    ({"annotations": {"a": None}, "labels": {"b": None}}, ""),
    ({"annotations": None, "labels": {}}, ""),
    ({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3, "finalizers": ["a.b/c"]}, ""),
    ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}, "uid": "u", "generation": 2}, ""),
]
TEXTS = st.text("abz019-. é", max_size=6)
ANNOTATIONS = st.dictionaries(
    st.sampled_from([*(PREFIX + word for word in ("managed", "patch", "namespace-wide", "cluster-wide", "x")), "a/b"]),
    st.sampled_from(["true", "false", ""]) | TEXTS,
)


def assert_same_metadata(certificate: Path, metadata: dict[str, Any], scope: str) -> None:
    """What we seal and what the real one seals are equal but for the ciphertext and our record of the certificate."""
    value = {**SECRET, "metadata": {"name": "db", "namespace": "prod", **metadata}}
    arguments = ["--scope", scope] if scope else []
    theirs = orjson.loads(kubeseal("--cert", certificate, *arguments, "-o", "json", stdin=orjson.dumps(value)))
    ours = sealedsecret.seal_secret(
        value, keyring.parse_certificate(certificate.read_bytes(), "cert.pem"), scope, "", False
    )
    assert strip_ciphertext(orjson.dumps(ours)) == strip_ciphertext(orjson.dumps(theirs))


def strip_ciphertext(text: str | bytes) -> Any:
    """A SealedSecret without its values, timestamps, and our record of the certificate."""
    sealed = orjson.loads(text)
    assert sealed["spec"].pop("encryptedData").keys() == VALUES.keys()
    annotations = sealed["metadata"].get("annotations") or {}
    annotations.pop(sealedsecrets_scope.SEALED_WITH_ANNOTATION, None)
    sealed["metadata"]["annotations"] = annotations
    sealed["metadata"].pop("creationTimestamp", None)
    sealed["spec"]["template"]["metadata"].pop("creationTimestamp", None)
    return sealed


@pytest.mark.parametrize(("metadata", "scope"), METADATA)
def test_the_template_has_the_metadata_that_the_real_one_writes(
    keys: tuple[Path, Path], metadata: dict[str, Any], scope: str
) -> None:
    assert_same_metadata(keys[0], metadata, scope)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANNOTATIONS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.sampled_from(["", "namespace-wide", "cluster-wide"]))
def test_random_metadata_is_kept_as_the_real_one_keeps_it(
    keys: tuple[Path, Path], annotations: dict[str, str], labels: dict[str, str], scope: str
) -> None:
    assert_same_metadata(keys[0], {"annotations": annotations, "labels": labels}, scope)


@pytest.mark.parametrize("text", ["aHVudGVy\nMg==\n", "aHVudGVyMg==\r\n", "aHVudGVyMg=\n=", "\naHVudGVyMg=="])
def test_base64_with_line_ends_is_sealed(keys: tuple[Path, Path], text: str, tmp_path: Path) -> None:
    value = orjson.dumps({**SECRET, "data": {"password": text}, "stringData": {}})
    assert kubeseal("--cert", keys[0], "-o", "json", stdin=value)
    (tmp_path / "secret.json").write_bytes(value)
    code, out, err = command("seal", "--cert", keys[0], "-f", tmp_path / "secret.json")
    assert (code, err) == (0, "")
    (tmp_path / "sealed.json").write_text(out)
    assert opened(command("unseal", "--key", keys[1], "-f", tmp_path / "sealed.json")[1]) == {"password": b"hunter2"}


@pytest.mark.parametrize("text", ["aHVudGVy Mg==", " aHVudGVyMg==", "aHVudGVyMg", "aHVudGVyMg==\t"])
def test_base64_that_the_real_one_refuses_is_refused(keys: tuple[Path, Path], text: str) -> None:
    value = {**SECRET, "data": {"password": text}}
    code, _, _ = run_command([server("kubeseal"), "--cert", keys[0]], 60, stdin=orjson.dumps(value))
    assert code != 0
    with pytest.raises(SecretFileError, match="is not valid base64"):
        sealedsecret.seal_secret(value, keyring.parse_certificate(keys[0].read_bytes(), "cert.pem"), "", "", False)


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
