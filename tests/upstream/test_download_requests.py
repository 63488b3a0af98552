"""What the program that downloads is sent, and what becomes of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper.secret_value import SecretBytes
from gatekeeper.upstream.download_requests import (
    ArtifactRequest,
    ChartRequest,
    FetchSettings,
    FileRequest,
    HostCredential,
    Pin,
    SourceEntry,
    SourceFault,
    SourceMirror,
    SourceResult,
    decode_result,
    encode_pin,
    encode_request,
    encode_settings,
)

DIGEST = f"sha256:{'a' * 64}"


def test_settings_show_no_secret_until_they_are_sent() -> None:
    secrets = [SecretBytes(text) for text in (b"a-password", b"a-token", b"a-key")]
    credential = HostCredential("h:1", "me", secrets[0], secrets[1], "CA", "CERT", secrets[2], is_plain=True)
    settings = FetchSettings((credential,), (Path("/a/config.json"),), (SourceMirror("https://a", "https://b"),), True)
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert not any(secret in shown for secret in ("a-password", "a-token", "a-key"))
    assert encode_settings(settings) == {
        "credentials": [
            {
                "host": "h:1",
                "username": "me",
                "password": "a-password",
                "token": "a-token",
                "ca": "CA",
                "certificate": "CERT",
                "key": "a-key",
                "plainHttp": True,
            }
        ],
        "dockerConfigs": ["/a/config.json"],
        "mirrors": [{"prefix": "https://a", "target": "https://b", "fallback": False}],
        "forbidsPrivateAddresses": True,
        "maxIndexBytes": 0,
        "maxFileBytes": 0,
    }


def test_a_relative_path_is_sent_as_an_absolute_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = FetchSettings(docker_configs=(Path("config.json"),))
    assert encode_settings(settings)["dockerConfigs"] == [str(tmp_path / "config.json")]


def test_requests_name_their_kind() -> None:
    assert encode_request(FileRequest("https://a/b")) == {"kind": "file", "url": "https://a/b"}
    chart = encode_request(ChartRequest("https://a", "web", "1.x", "helm", True))
    assert chart == {
        "kind": "helm",
        "url": "https://a",
        "chart": "web",
        "range": "1.x",
        "rule": "helm",
        "passCredentials": True,
    }
    artifact = ArtifactRequest("oci://a/b", "1", "2", "3", "4", "5", "copy")
    assert encode_request(artifact) == {
        "kind": "oci",
        "url": "oci://a/b",
        "tag": "1",
        "semver": "2",
        "semverFilter": "3",
        "digest": "4",
        "mediaType": "5",
        "operation": "copy",
    }


def test_a_pin_has_its_request_and_its_entry() -> None:
    entry = SourceEntry("1", "oci://a/b", DIGEST, DIGEST, 7, is_deprecated=True)
    sent = encode_pin(Pin(FileRequest("https://a"), entry))
    assert sent["kind"] == "file"
    assert sent["entry"] == {
        "version": "1",
        "url": "oci://a/b",
        "digest": DIGEST,
        "manifest": DIGEST,
        "size": 7,
        "deprecated": True,
    }


def test_an_answer_is_an_entry_or_a_fault() -> None:
    fields = {"version": "1", "url": "u", "digest": DIGEST, "size": 3}
    assert decode_result(4, {"entry": fields}) == SourceResult(4, SourceEntry("1", "u", DIGEST, "", 3), None)
    full = {**fields, "manifest": "m", "deprecated": True, "movedTag": True}
    entry = SourceEntry("1", "u", DIGEST, "m", 3, is_deprecated=True, has_moved_tag=True)
    assert decode_result(0, {"entry": full, "moved": True}) == SourceResult(0, entry, None, has_moved=True)
    fault = {"fault": {"reason": "r", "message": "m"}}
    assert decode_result(1, fault) == SourceResult(1, None, SourceFault("r", "m"))
    answers: list[dict[str, Any]] = [{}, {"entry": {}}, {"fault": {"reason": "r"}}]
    for broken in answers:
        with pytest.raises(KeyError):
            decode_result(0, broken)
