"""`gatekeeper unseal`: prints the Secret of a SealedSecret, if one of the keys decrypts it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from tests.commands.conftest import Run
from tests.commands.test_seal import SECRET
from tests.sealedsecrets.test_kubeseal_compatibility import pair


@pytest.fixture
def sealed(run: Run, key_pair: tuple[Path, Path], tmp_path: Path) -> Path:
    """A SealedSecret with one value."""
    (tmp_path / "secret.yaml").write_text(SECRET)
    path = tmp_path / "sealed.yaml"
    assert run("seal", "--cert", key_pair[0], "-f", tmp_path / "secret.yaml", "-w", path).code == 0
    return path


def test_the_value_of_the_secret_is_printed_in_base64(run: Run, key_pair: tuple[Path, Path], sealed: Path) -> None:
    code, out, err = run("unseal", "--key", key_pair[1], "-f", sealed, "-o", "yaml")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["data"] == {"password": base64.b64encode(b"hunter2").decode()}


def test_another_key_decrypts_nothing(run: Run, sealed: Path, tmp_path: Path) -> None:
    code, out, err = run("unseal", "--key", pair(tmp_path / "other")[1], "-f", sealed)
    assert (code, out) == (1, "") and f"{sealed}:1: " in err


def test_a_file_without_an_object_is_refused(run: Run, key_pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    code, out, err = run("unseal", "--key", key_pair[1], "-f", tmp_path / "empty.yaml")
    assert (code, out, err) == (1, "", f"gatekeeper: {tmp_path / 'empty.yaml'}: contains no object\n")
