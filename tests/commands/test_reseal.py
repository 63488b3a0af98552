"""`gatekeeper reseal`: seals the files below a folder for another certificate."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest

from tests.commands.conftest import Run
from tests.commands.test_seal import SECRET
from tests.sealedsecrets.test_kubeseal_compatibility import pair

KeyPair = tuple[Path, Path]


@pytest.fixture
def sealed(run: Run, key_pair: KeyPair, tmp_path: Path) -> Path:
    """A SealedSecret in a folder of its own."""
    (tmp_path / "secret.yaml").write_text(SECRET)
    path = tmp_path / "apps" / "sealed.yaml"
    path.parent.mkdir()
    assert run("seal", "--cert", key_pair[0], "-f", tmp_path / "secret.yaml", "-w", path).code == 0
    return path


def test_a_file_is_sealed_for_the_new_certificate(run: Run, key_pair: KeyPair, sealed: Path, tmp_path: Path) -> None:
    certificate, key = pair(tmp_path / "new")
    arguments = ("reseal", "--key", key_pair[1], "--cert", certificate, sealed.parent)
    before = sealed.read_text()
    assert run(*arguments, "--dry-run").code == 1 and sealed.read_text() == before
    code, out, _ = run(*arguments)
    assert code == 0 and f"resealed  {sealed}" in out
    opened = orjson.loads(run("unseal", "--key", key, "-f", sealed).stdout)
    assert opened["data"] == {"password": base64.b64encode(b"hunter2").decode()}


def test_a_file_that_no_key_decrypts_stays_unchanged(run: Run, sealed: Path, tmp_path: Path) -> None:
    certificate, key = pair(tmp_path / "new")
    before = sealed.read_text()
    code, out, _ = run("reseal", "--key", key, "--cert", certificate, sealed.parent)
    assert code == 1 and out.startswith("FAILED    ") and str(sealed) in out
    assert sealed.read_text() == before


def test_a_certificate_for_a_missing_folder_is_a_usage_error(run: Run, key_pair: KeyPair, tmp_path: Path) -> None:
    code, _, err = run("reseal", "--key", key_pair[1], "--cert", f"{tmp_path / 'none'}={key_pair[0]}", tmp_path)
    assert code == 2 and f"{tmp_path / 'none'} is not a folder" in err


def test_a_file_outside_the_folders_of_all_certificates_fails(run: Run, key_pair: KeyPair, sealed: Path) -> None:
    (sealed.parent / "prod").mkdir()
    certificate = f"{sealed.parent / 'prod'}={key_pair[0]}"
    code, out, _ = run("reseal", "--key", key_pair[1], "--cert", certificate, sealed.parent)
    assert code == 1 and f"{sealed}: no --cert covers this folder" in out
