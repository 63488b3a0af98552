"""`gatekeeper seal`: seals Secrets, single values, and values into an existing file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.commands.conftest import Run

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: hunter2}\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A Secret with one value."""
    path = tmp_path / "secret.yaml"
    path.write_text(SECRET)
    return path


def test_a_secret_is_sealed_in_the_format_of_the_target_file(
    run: Run, key_pair: tuple[Path, Path], secret: Path, tmp_path: Path
) -> None:
    target = tmp_path / "sealed.yaml"
    assert run("seal", "--cert", key_pair[0], "-f", secret, "-w", target) == (0, "", "")
    sealed = yaml.safe_load(target.read_text())
    assert sealed["kind"] == "SealedSecret" and list(sealed["spec"]["encryptedData"]) == ["password"]
    assert "hunter2" not in target.read_text()


def test_an_object_that_is_not_a_secret_is_named_with_its_place(
    run: Run, key_pair: tuple[Path, Path], secret: Path
) -> None:
    secret.write_text(SECRET.replace("Secret", "ConfigMap"))
    code, out, err = run("seal", "--cert", key_pair[0], "-f", secret)
    assert (code, out) == (1, "") and f"{secret}:1: " in err and "hunter2" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw"], "the strict scope binds the value to a name: add --name"),
        (["--raw", "--name", "db"], "add --namespace, or --scope cluster-wide"),
        (["--replace"], "--replace needs -f and -w"),
    ],
)
def test_missing_options_are_usage_errors(
    run: Run, key_pair: tuple[Path, Path], arguments: list[str], message: str
) -> None:
    code, out, err = run("seal", "--cert", key_pair[0], *arguments)
    assert (code, out) == (2, "") and message in err


def test_a_merge_into_a_secret_of_another_name_is_refused(
    run: Run, key_pair: tuple[Path, Path], secret: Path, tmp_path: Path
) -> None:
    sealed = tmp_path / "sealed.yaml"
    assert run("seal", "--cert", key_pair[0], "-f", secret, "-w", sealed).code == 0
    before = sealed.read_text()
    secret.write_text(SECRET.replace("name: db", "name: web"))
    code, _, err = run("seal", "--cert", key_pair[0], "-f", secret, "--merge-into", sealed)
    assert code == 1 and f"{secret}:1: name differs from that of {sealed}" in err
    assert sealed.read_text() == before
