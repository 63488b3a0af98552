"""What the docs and the README say is so: settings exist, commands run, named files are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gatekeeper import cli, config
from tests.conftest import command, needs

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
NAMES = [page.name for page in PAGES]


def test_the_settings_page_shows_every_setting_and_is_a_valid_file(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    (tmp_path / config.NAME).write_text(block.group(1))
    assert config.load(tmp_path, None) != config.Config()
    for section, key, _, _ in config.SETTINGS:
        assert re.search(rf"^{'  ' if section else ''}{key}:", block.group(1), re.MULTILINE), f"{section}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_the_docs_exist(page: Path) -> None:
    for line in re.findall(r"(?:^    |`)(gatekeeper [a-z][^`\n]*)", page.read_text(), re.MULTILINE):
        words = shlex.split(line.split("#")[0].split(">")[0].split("|")[0])
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
