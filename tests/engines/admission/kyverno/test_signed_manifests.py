"""Signatures of manifests: verified without a connection by a key in the policy, else refused."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatekeeper.engines.admission.kyverno.program import KyvernoProgram, open_program
from gatekeeper.engines.admission.kyverno.results import RuleResult
from tests.conftest import needs
from tests.engines.admission.kyverno.test_evaluator import rule
from tests.engines.resources import parse_resources

pytestmark = needs("gatekeeper-kyverno")
KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def format_key(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


def build_pod(name: str, image: str = "a:1") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "b"}
    spec = {"containers": [{"name": "c", "image": image}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def sign(pod: dict[str, Any], key: ec.EllipticCurvePrivateKey = KEY) -> dict[str, Any]:
    """The Pod with its signature, as `kubectl sigstore sign` writes it."""
    text, buffer = orjson.dumps(pod), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("pod.yaml")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    message = buffer.getvalue()
    annotations = {
        "cosign.sigstore.dev/message": base64.b64encode(gzip.compress(message)).decode(),
        "cosign.sigstore.dev/signature": base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA256()))).decode(),
    }
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}


def open_policy(manifests: dict[str, Any]) -> KyvernoProgram:
    body = f"    validate: {{manifests: {orjson.dumps(manifests).decode()}}}\n"
    return KyvernoProgram(parse_resources(rule(body)), [], [])


def build_attestors(*keys: str, **fields: Any) -> dict[str, Any]:
    return {"attestors": [{"entries": [{"keys": {"publicKeys": key}} for key in keys], **fields}]}


def judge(program: KyvernoProgram, *pods: dict[str, Any]) -> list[RuleResult]:
    return [result for [result] in program.evaluate([(orjson.dumps(pod), None) for pod in pods])]


def test_a_signed_manifest_passes_and_a_changed_one_fails() -> None:
    program = open_policy(build_attestors(format_key(KEY)))
    changed = sign(build_pod("a"))
    changed["spec"] = build_pod("a", "evil:1")["spec"]
    signed, other, unsigned = judge(program, sign(build_pod("a")), changed, build_pod("a"))
    assert (signed.status, other.status, unsigned.status) == ("pass", "fail", "fail")
    assert "spec.containers.0.image" in other.message and "message not found" in unsigned.message


def test_the_signature_of_another_key_is_no_verdict() -> None:
    program = open_policy(build_attestors(format_key(KEY)))
    [result] = judge(program, sign(build_pod("a"), OTHER_KEY))
    assert result.status == "error" and "invalid signature" in result.message


def test_one_of_several_keys_is_enough_where_the_policy_says_so() -> None:
    keys = (format_key(KEY), format_key(OTHER_KEY))
    [one] = judge(open_policy(build_attestors(*keys, count=1)), sign(build_pod("a"), OTHER_KEY))
    [both] = judge(open_policy(build_attestors(*keys)), sign(build_pod("a"), OTHER_KEY))
    assert (one.status, both.status) == ("pass", "error")


def test_many_manifests_are_verified_each_with_its_own_message() -> None:
    """Sigstore's library reads the message from the standard input, of which a process has one."""
    program = open_policy(build_attestors(format_key(KEY)))
    pods = [sign(build_pod(f"p{number}"), OTHER_KEY if number % 3 else KEY) for number in range(300)]
    assert [one.status for one in judge(program, *pods)] == ["error" if number % 3 else "pass" for number in range(300)]


def test_no_file_can_be_opened_after_a_verification() -> None:
    judge(open_policy(build_attestors(format_key(KEY))), sign(build_pod("a")), sign(build_pod("b"), OTHER_KEY))
    process = Path(f"/proc/{open_program().get_worker().pid}")
    [bound] = [line.split()[3] for line in (process / "limits").read_text().splitlines() if line.startswith("Max open")]
    used = {int(entry.name) for entry in (process / "fd").iterdir()}
    assert used.issuperset(range(int(bound)))


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [
        ({"attestors": [{"entries": [{"keyless": {"issuer": "a", "subject": "b"}}]}]}, "publicKeys` only"),
        ({"attestors": [{"entries": [{"keys": {"kms": "awskms:///a"}}]}]}, "publicKeys` only"),
        ({"attestors": [{"entries": [{"keys": {"secret": {"name": "a", "namespace": "b"}}}]}]}, "publicKeys` only"),
        ({"attestors": [{"entries": [{"certificates": {"cert": "c"}}]}]}, "publicKeys` only"),
        (build_attestors("k8s://a/b"), "which must contain the key"),
        (build_attestors("/etc/passwd"), "which must contain the key"),
        ({**build_attestors(format_key(KEY)), "dryRun": {"enable": True}}, "`manifests.dryRun` is not supported"),
        ({**build_attestors(format_key(KEY)), "repository": "a"}, "`manifests.repository` is not supported"),
    ],
)
def test_what_needs_a_connection_is_refused(manifests: dict[str, Any], reason: str) -> None:
    [description], _ = open_policy(manifests).describe()
    assert not description.rules and reason in description.refusals[0]
