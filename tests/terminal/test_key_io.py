"""Certificates and private keys that a command is given: files, URLs, files that SOPS encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.terminal import key_io


def test_a_certificate_url_that_does_not_respond_is_named() -> None:
    with pytest.raises(
        SecretFileError, match=r"^http://127\.0\.0\.1:1/v1/cert\.pem: could not fetch the certificate: "
    ):
        key_io.fetch_certificate("http://127.0.0.1:1/v1/cert.pem")


def test_a_file_that_sops_did_not_encrypt_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "key.yaml"
    path.write_bytes(b"sops: written by hand\n")
    assert key_io.read_decrypted(path) == b"sops: written by hand\n"
    with pytest.raises(UsageError, match="cannot be read"):
        key_io.read_decrypted(tmp_path / "missing")


def test_a_file_without_a_key_or_certificate_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing")
    with pytest.raises(SecretFileError, match=r"notes\.txt"):
        key_io.load_private_keys([path])
    with pytest.raises(SecretFileError, match=r"notes\.txt"):
        key_io.load_certificate(str(path))
