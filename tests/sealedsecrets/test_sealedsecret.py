"""Sealing and unsealing: every value is restored, and error messages contain no value."""

from __future__ import annotations

import base64
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets import crypto, keyring, sealedsecret
from gatekeeper.sealedsecrets import scope as sealedsecrets_scope
from gatekeeper.secret_value import SecretBytes
from tests.conftest import command, needs
from tests.sealedsecrets.test_kubeseal_compatibility import PREFIX, SECRET, pair

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
VALUE = "hunter2-Zk9vQ1x7Lm3"
TEMPLATES = {
    "url": "postgres://shop:{{ .password | urlquery }}@{{ .host }}/db",
    "host": "db.example",
    "gone": None,
    "both": '{{ index . "password" | b64enc | quote }}{{ "\\n" }}{{ .text | trim | upper }}',
    "password": "not this",
    "none": "{{ .nothing }}|{{ $.host }}",
    "raw": "{{ .bytes | len }}",
}
FILLED = {
    "url": b"postgres://shop:hunter2@db.example/db",
    "host": b"db.example",
    "both": '"aHVudGVyMg=="\nGRÜN'.encode(),
    "none": b"<no value>|db.example",
    "raw": b"256",
}


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=2000), st.binary(max_size=200))
def test_every_value_comes_back_under_its_label(value: bytes, label: bytes) -> None:
    text = crypto.seal_value(SecretBytes(value), KEY.public_key(), label)
    found, used = crypto.unseal_value(text, [OTHER, KEY], label)
    assert found.reveal() == value and used is KEY
    with pytest.raises(SecretFileError, match="a different key, name, namespace or scope"):
        crypto.unseal_value(text, [KEY], label + b"x")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_manipulation_is_refused(data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(crypto.seal_value(SecretBytes(b"value"), KEY.public_key(), b"a/b")))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SecretFileError):
        crypto.unseal_value(base64.b64encode(bytes(raw)).decode(), [KEY], b"a/b")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600) | st.text(max_size=40).map(str.encode))
def test_text_that_is_not_a_sealed_value_is_refused(raw: bytes) -> None:
    for text in (base64.b64encode(raw).decode(), raw.decode("latin-1")):
        with pytest.raises(SecretFileError):
            crypto.unseal_value(text, [KEY], b"")


def test_a_value_never_shows() -> None:
    value = SecretBytes(VALUE.encode())
    assert VALUE not in f"{value!r} {value} {value:>40} {[value]} {value!s}"
    with pytest.raises(TypeError):
        pickle.dumps(value)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return pair(tmp_path / "keys")


def told(folder: Path, value: Any, *arguments: str | Path, to: str = "seal") -> tuple[int, str]:
    path = folder / "in.yaml"
    path.write_bytes(value if isinstance(value, bytes) else orjson.dumps(value))
    code, out, err = command(to, *arguments, "-f", path)
    assert "Traceback" not in err and VALUE not in out + err
    return code, err


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
            "in.yaml:1: not a Secret (v1), but ConfigMap (v1)",
        ),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "stringData": {"a": VALUE}},
            "`metadata.name` is missing",
        ),
        (
            {**SECRET, "metadata": {"namespace": "n", "annotations": {PREFIX + "namespace-wide": "true"}}},
            "`metadata.name` is missing",
        ),
        ({**SECRET, "metadata": {"name": "", "annotations": {PREFIX + "cluster-wide": "true"}}}, "name` is missing"),
        ({**SECRET, "metadata": {"name": 5}}, "`metadata.name` is missing"),
        (
            {**SECRET, "metadata": {"name": "a", "annotations": {"a/b": 5}}},
            "`metadata.annotations.a/b` must be a string: put its value in quotes",
        ),
        (
            {**SECRET, "metadata": {"name": "a", "labels": {"on": True}}},
            "`metadata.labels.on` must be a string: put its value in quotes",
        ),
        ({**SECRET, "metadata": {"name": "a", "labels": {"a": ["b"]}}}, "`metadata.labels.a` must be a string"),
        ({**SECRET, "metadata": {"name": "a", "labels": ["a"]}}, "`metadata.labels` must be a mapping"),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}, "holds no value; --allow-empty-data"),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": VALUE + "!"}},
            "`data.a` is not valid base64",
        ),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": [VALUE]}},
            "`stringData.a` must be a string",
        ),
        (b"kind: Secret\nkind: Secret\n", "in.yaml:2: duplicate key `kind`, first in line 1"),
        (b"a: [\n", "invalid YAML or JSON"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"", "contains no object"),
        (b"- 1\n", "contains no object"),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "x" * 1_100_000}},
            "a Secret holds at most",
        ),
    ],
)
def test_object_that_cannot_be_sealed_is_reported(
    tmp_path: Path, keys: tuple[Path, Path], value: Any, words: str
) -> None:
    code, err = told(tmp_path, value, "--cert", keys[0])
    assert code == 1 and words in err, err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "other"}, "no key decrypts it"),
        ({"namespace": "other"}, "no key decrypts it"),
        ({"annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"}}, "no key decrypts it"),
    ],
)
def test_a_sealed_secret_in_another_place_is_not_opened(
    tmp_path: Path, keys: tuple[Path, Path], change: dict[str, Any], words: str
) -> None:
    held = sealed_one(tmp_path, keys[0])
    held["metadata"].update(change)
    code, err = told(tmp_path, held, "--key", keys[1], to="unseal")
    assert code == 1 and f"`spec.encryptedData.password` {words}" in err, err


def sealed_one(folder: Path, certificate: Path) -> dict[str, Any]:
    path = folder / "secret.json"
    path.write_bytes(orjson.dumps(SECRET))
    found: dict[str, Any] = orjson.loads(command("seal", "--cert", certificate, "-f", path)[1])
    return found


def test_wrong_keys_are_reported(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    held = sealed_one(tmp_path, keys[0])
    _, other = pair(tmp_path / "other")
    _, large = pair(tmp_path / "large", 3072)
    assert "no key decrypts it" in told(tmp_path, held, "--key", other, to="unseal")[1]
    assert (
        "sealed for a key of 2048 bits, and no key has this size"
        in told(tmp_path, held, "--key", large, to="unseal")[1]
    )
    assert told(tmp_path, held, "--key", other, "--key", keys[1], to="unseal")[0] == 0
    (tmp_path / "no.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
    assert "not a private key in PEM" in told(tmp_path, held, "--key", tmp_path / "no.pem", to="unseal")[1]
    assert "cannot be read" in told(tmp_path, held, "--key", tmp_path / "gone.pem", to="unseal")[1]


class Counting:
    """A private key that counts what is asked of it."""

    def __init__(self, real: rsa.RSAPrivateKey) -> None:
        self.real, self.key_size, self.count = real, real.key_size, 0

    def decrypt(self, *arguments: Any) -> bytes:
        self.count += 1
        return self.real.decrypt(*arguments)


def test_of_many_keys_the_right_one_is_tried_first_or_found_once(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    real = keyring.load_keys([("key", keys[1].read_bytes())])[0]
    wrong = [Counting(OTHER) for _ in range(35)]
    right = Counting(real.private_key)
    counted: list[Any] = [*wrong, right]
    whole = [real._replace(private_key=one, fingerprint=str(number)) for number, one in enumerate(counted)]
    whole[-1] = whole[-1]._replace(fingerprint=real.fingerprint)
    held = sealed_one(tmp_path, keys[0])
    count = len(held["spec"]["encryptedData"])
    ring = list(whole)
    sealedsecret.unseal_secret(held, ring)
    assert (right.count, sum(one.count for one in wrong)) == (count, 0)
    del held["metadata"]["annotations"][sealedsecrets_scope.SEALED_WITH_ANNOTATION]
    ring, right.count = list(whole), 0
    for _ in range(3):
        sealedsecret.unseal_secret(held, ring)
    assert (right.count, sum(one.count for one in wrong)) == (3 * count, 35)


def test_a_key_that_is_encrypted_is_reported(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    held = sealed_one(tmp_path, keys[0])
    form, locked = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    (tmp_path / "locked.pem").write_bytes(KEY.private_bytes(serialization.Encoding.PEM, form, locked))
    assert "is encrypted with a passphrase" in told(tmp_path, held, "--key", tmp_path / "locked.pem", to="unseal")[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AA==", "shorter than its header says"),
        (base64.b64encode(b"\xff\xff" + bytes(600)).decode(), "shorter than its header"),
        ("", "shorter than its header"),
        ("Ag!", "is not valid base64"),
    ],
)
def test_invalid_value_is_reported(tmp_path: Path, keys: tuple[Path, Path], text: str, words: str) -> None:
    held = sealed_one(tmp_path, keys[0])
    held["spec"]["encryptedData"] = {"a": text}
    assert words in told(tmp_path, held, "--key", keys[1], to="unseal")[1]


def test_value_larger_than_any_secret_is_reported(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    large = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "x" * 10_000_000}}
    assert "a Secret holds at most 1048576" in told(tmp_path, large, "--cert", keys[0])[1]
    assert "larger than 16 MB" in told(tmp_path, b"#" * 17_000_000, "--cert", keys[0])[1]


def test_a_value_as_large_as_a_secret_can_be_comes_back(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    name = "a" * 253
    value = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "n" * 63},
        "stringData": {"a": "x" * 1_048_000},
    }
    path, target = tmp_path / "secret.json", tmp_path / "sealed.yaml"
    path.write_bytes(orjson.dumps(value))
    assert command("seal", "--cert", keys[0], "-f", path, "-w", target)[0] == 0
    out = orjson.loads(command("unseal", "--key", keys[1], "-f", target)[1])
    assert base64.b64decode(out["data"]["a"]) == b"x" * 1_048_000 and out["metadata"]["name"] == name


def test_invalid_certificate_is_reported(tmp_path: Path) -> None:
    old, _ = pair(tmp_path / "old", days=-5)
    weak, _ = pair(tmp_path / "weak", bits=1024)
    (tmp_path / "no.pem").write_text("hello")
    secret = orjson.dumps(SECRET)
    assert "expired on" in told(tmp_path, secret, "--cert", old)[1]
    assert "RSA of 2048 bits or more" in told(tmp_path, secret, "--cert", weak)[1]
    assert "not a PEM certificate" in told(tmp_path, secret, "--cert", tmp_path / "no.pem")[1]


@contextmanager
def serving(content: bytes) -> Iterator[str]:
    """A controller that shows its certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/cert.pem" else 404)
            self.end_headers()
            if self.path == "/v1/cert.pem":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_certificate_can_come_from_the_controller(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    path = tmp_path / "secret.json"
    path.write_bytes(orjson.dumps(SECRET))
    with serving(keys[0].read_bytes()) as url:
        code, out, err = command("seal", "--cert", f"{url}/v1/cert.pem", "-f", path)
        assert (code, err) == (0, "")
        sealed_file = tmp_path / "sealed.json"
        sealed_file.write_text(out)
        assert command("unseal", "--key", keys[1], "-f", sealed_file)[0] == 0
        code, _, err = command("seal", "--cert", f"{url}/other", "-f", path)
        assert (code, "could not fetch the certificate: " in err) == (1, True), err
    code, _, err = command("seal", "--cert", f"{url}/v1/cert.pem", "-f", path)
    assert (code, "could not fetch the certificate: " in err) == (1, True)
    with serving(b"x" * 300_000) as url:
        code, _, err = command("seal", "--cert", f"{url}/v1/cert.pem", "-f", path)
        assert (code, "too large for a certificate" in err) == (1, True)


def test_a_copy_of_the_values_in_an_annotation_is_not_kept(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": VALUE, "note": "kept"}
    value = {**SECRET, "metadata": {**SECRET["metadata"], "annotations": copy}}
    path = tmp_path / "secret.json"
    path.write_bytes(orjson.dumps(value))
    out = command("seal", "--cert", keys[0], "-f", path)[1]
    assert VALUE not in out and orjson.loads(out)["spec"]["template"]["metadata"]["annotations"] == {"note": "kept"}


@needs("gatekeeper-upstream")
def test_templates_are_rendered_with_unsealed_values(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    held = sealed_one(tmp_path, keys[0])
    held["spec"]["template"]["data"] = TEMPLATES
    path = tmp_path / "sealed.json"
    path.write_bytes(orjson.dumps(held))
    code, out, err = command("unseal", "--key", keys[1], "-f", path)
    assert (code, err) == (0, "")
    data = {key: base64.b64decode(text) for key, text in orjson.loads(out)["data"].items()}
    assert {key: data[key] for key in FILLED} == FILLED and data["password"] == b"hunter2"
    assert "bytes" in data and "gone" not in data


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{{ tpl "x" . }}', "`spec.template.data.url` calls `tpl`, which there is not (line 1)"),
        ("ok\n{{ .password | nothing }}", "calls `nothing`, which there is not (line 2"),
        ("{{ fail .password }}", "fails in `fail` (line 1"),
        ("{{ if }}", "is no template of Go (line 1"),
        ('{{ env "HOME" }}', "calls `env`, which there is not"),
        ("{{ getHostByName .host }}", "calls `getHostByName`"),
    ],
)
def test_template_that_cannot_be_rendered_is_reported(
    tmp_path: Path, keys: tuple[Path, Path], text: str, words: str
) -> None:
    held = sealed_one(tmp_path, keys[0])
    held["spec"]["template"]["data"] = {"url": text}
    code, err = told(tmp_path, held, "--key", keys[1], to="unseal")
    assert code == 1 and words in err and "hunter2" not in err, err


@pytest.mark.parametrize(
    ("annotations", "scope"),
    [
        ({}, "strict"),
        (None, "strict"),
        ({"sealedsecrets.bitnami.com/namespace-wide": "true"}, "namespace-wide"),
        (
            {"sealedsecrets.bitnami.com/namespace-wide": "true", "sealedsecrets.bitnami.com/cluster-wide": "true"},
            "cluster-wide",
        ),
        ({"sealedsecrets.bitnami.com/cluster-wide": "false"}, "strict"),
        ({"sealedsecrets.bitnami.com/cluster-wide": True}, "strict"),
    ],
)
def test_the_scope_is_what_the_annotations_say(annotations: Any, scope: str) -> None:
    assert sealedsecrets_scope.parse_scope(annotations) == scope
