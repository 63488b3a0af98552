"""What the docs and the README say is so: settings exist, commands run, named files are there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from gatekeeper import cli, config
from tests.conftest import command, needs
from tests.sops.conftest import age

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
NAMES = [page.name for page in PAGES]


def test_the_settings_page_shows_every_setting_and_is_a_valid_file(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    (tmp_path / config.CONFIG_FILE).write_text(block.group(1))
    assert config.load(tmp_path, None) != config.Config()
    for section, key, _, _ in config.SETTINGS:
        assert re.search(rf"^{'  ' if section else ''}{key}:", block.group(1), re.MULTILINE), f"{section}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_the_docs_exist(page: Path) -> None:
    for line in re.findall(r"(?:^    |`)(gatekeeper [a-z][^`\n]*)", page.read_text(), re.MULTILINE):
        words = shlex.split(line.split("#")[0].split(">")[0].split("|")[0])
        # What stands behind `--` is for another program.
        words = words[: words.index("--")] if "--" in words else words
        assert words[1] in cli.COMMANDS, line
        code, out, _ = command(words[1], "--help")
        assert code == 0
        for option in (word.partition("=")[0] for word in words[2:] if word.startswith("--")):
            assert option in out, line


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_the_docs_name_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:docs|gatekeeper|policies|hooks|examples|tests|rust)/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_every_command_helps_with_examples() -> None:
    for name in cli.COMMANDS:
        code, out, _ = command(name, "--help")
        assert code == 0
        assert "examples:" in out


def test_the_rules_can_be_listed_and_documented() -> None:
    code, listed, _ = command("policy", "list")
    assert code == 0
    code, told, _ = command("policy", "docs")
    assert code == 0
    for line in listed.splitlines():
        assert f"## {line.split()[0]}\n" in told


@needs("kustomize")
def test_the_demo_finds_what_the_readme_says() -> None:
    code, out, _ = command("check", ROOT / "examples" / "shop")
    assert code == 1
    assert "overlays/production/hotfix.yaml:11:18: error: container `shop` runs" in out
    assert out.endswith("refused: 4 errors\n")


@needs("sops")
def test_the_walk_through_the_pages_on_secrets_can_be_walked(tmp_path: Path) -> None:
    """The commands of docs/sealing.md and docs/sops.md, one after the other, as a new user types them."""
    mine = age(tmp_path, "age.txt")
    root = tmp_path / "repository"
    (root / "keys").mkdir(parents=True)
    (root / ".sops.yaml").write_text(f"creation_rules:\n  - path_regex: \\.enc\\.yaml$\n    age: {mine.recipient}\n")
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: hunter2}\n"
    (root / "secret.yaml").write_text(secret)
    (root / "values.enc.yaml").write_text("password: hunter2\n")
    (root / "password.txt").write_text("other")

    def done(words: str, status: int = 0) -> str:
        env = {**os.environ, "SOPS_AGE_KEY_FILE": str(mine.file)}
        code, out, err = command(*shlex.split(words), cwd=root, env=env)
        assert code == status, f"{words}: {out}{err}"
        return out

    done(f"keys new --bits 2048 --certificate keys/prod.pem --private ../prod-key.yaml --age {mine.recipient}")
    assert "not encrypted" in done("check", 1)
    done("seal --cert keys/prod.pem -f secret.yaml -w sealed.yaml")
    (root / "secret.yaml").unlink()
    done("sops encrypt values.enc.yaml")
    assert "accepted" in done("check --open --key ../prod-key.yaml")
    done("sops set values.enc.yaml password --from-file password.txt")
    assert done("sops decrypt values.enc.yaml") == "password: other\n"
    done("keys rotate --bits 2048 --certificate keys/prod.pem --private ../prod-key-2.yaml --older-than 0")
    assert "would be  sealed.yaml (was for keys/prod-" in done(
        "reseal --key ../prod-key.yaml --cert keys/prod.pem --dry-run .", 1
    )
    done("reseal --key ../prod-key.yaml --cert keys/prod.pem .")
    done("sops updatekeys .")
    done("sops rotate .")
    assert "accepted" in done("check --open --key ../prod-key-2.yaml")
