"""The documentation is true: settings exist, commands run, named files and linked pages exist, the picture is current."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from gatekeeper import cli, config
from gatekeeper.workspace import config_loader
from tests import terminal_image
from tests.conftest import command, needs
from tests.sops.conftest import age
from tests.test_structure import LAYERS, MODULES

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
# In a block of code, where a prompt may come first, or in a sentence.
COMMAND = re.compile(r"(?:^[ ]*(?:\$ )?|`)(gatekeeper [a-z][^`\n]*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Words that a user does not search for; the glossary says what to write instead.
UNPLAIN = re.compile(
    r"\b(?:whoever|nobody|somebody|anew|beside|is another|is told|are told|tells of|told of|as it shall be|what lacks|"
    r"hangs on|wish(?:es)?|vouches for it|so many|is none)\b"
)
# A page may say in each table what a capability does; these are not about a capability.
OVERVIEWS = {"README.md", "architecture.md", "benchmarks.md", "conformance.md", "dependencies.md", "glossary.md"}


def test_the_settings_page_shows_every_setting_and_is_a_valid_file(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    (tmp_path / config.CONFIG_FILE).write_text(block.group(1))
    assert config_loader.load(tmp_path, None) != config.Config()
    for section, key, _, _ in config_loader.SETTINGS:
        assert re.search(rf"^{'  ' if section else ''}{key}:", block.group(1), re.MULTILINE), f"{section}.{key}"


@cache
def helped(name: str) -> tuple[int, str]:
    """Exit status and output of `gatekeeper NAME --help`."""
    code, out, _ = command(name, "--help")
    return code, out


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_the_docs_exist(page: Path) -> None:
    for line in COMMAND.findall(page.read_text()):
        words = shlex.split(line.split(" #")[0].split(">")[0].split("|")[0])
        # What stands behind `--` is for another program.
        words = words[: words.index("--")] if "--" in words else words
        # A recipe of CONTRIBUTING.md adds a command to `COMMANDS`, and tests/test_contributing.py runs it.
        if words[1:] == ["--version"] or re.search(rf'^ *\+ +"{words[1]}": "', page.read_text(), re.MULTILINE):
            continue
        assert words[1] in cli.COMMANDS, line
        code, out = helped(words[1])
        assert code == 0
        for option in (word.partition("=")[0] for word in words[2:] if word.startswith("--")):
            assert option in out, line


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_the_docs_name_exist(page: Path) -> None:
    for name in re.findall(
        r"`((?:docs|gatekeeper|policies|hooks|examples|tests|rust)/[a-z][\w./-]+)`", page.read_text()
    ):
        # A recipe names what a contributor adds in capitals, or gives the whole content of a file.
        is_created = re.search(rf"\bIn\s+`{re.escape(name)}(/[^`]+)?`:\s+```(?!diff)", page.read_text(), re.IGNORECASE)
        assert (ROOT / name).exists() or re.search("[A-Z]{4}", name) or is_created, name


def anchors(page: Path) -> set[str]:
    """The headings of a page as a Git host links to them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not heading or heading in anchors(linked), target


def test_the_index_lists_every_page() -> None:
    linked = {target.partition("#")[0] for target in LINK.findall((ROOT / "docs" / "README.md").read_text())}
    assert {page.name for page in DOCS} - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_docs_are_in_plain_english(page: Path) -> None:
    if page.name != "glossary.md":
        assert UNPLAIN.findall(page.read_text()) == []


@pytest.mark.parametrize("page", [page for page in DOCS if page.name not in OVERVIEWS], ids=lambda page: page.name)
def test_a_page_about_a_capability_begins_with_a_task_and_a_command(page: Path) -> None:
    lines = [line for line in page.read_text().splitlines() if line]
    assert lines[0].startswith("# ") and lines[1].startswith("Task: ")
    text = page.read_text()
    first = text[: text.index("\n## ")]
    assert "```" in first
    assert COMMAND.search(first)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_architecture_page_has_every_package_and_the_layers_that_are_tested() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {module.parent.relative_to(ROOT).as_posix() for module in MODULES} - {"gatekeeper"}
    assert set(re.findall(r"^\| `(gatekeeper/[\w/]+)` \|", text, re.MULTILINE)) == packages
    boxes = re.findall(r'^  l\d+\["([^"]+)"\]', text, re.MULTILINE)
    assert [set(box.split(", ")) for box in boxes] == list(LAYERS)


@needs("gatekeeper-upstream")
def test_the_picture_in_the_readme_is_what_the_demo_prints() -> None:
    drawn = terminal_image.draw(terminal_image.output())
    assert terminal_image.IMAGE.read_text() == drawn, "run `python -m tests.terminal_image`"


def test_every_command_helps_with_examples() -> None:
    for name in cli.COMMANDS:
        code, out = helped(name)
        assert code == 0
        assert "examples:" in out


def test_the_rules_can_be_listed_and_documented() -> None:
    code, listed, _ = command("policy", "list")
    assert code == 0
    code, told, _ = command("policy", "docs")
    assert code == 0
    for line in listed.splitlines():
        assert f"## {line.split()[0]}\n" in told


@needs("gatekeeper-upstream")
def test_the_demo_finds_what_the_picture_shows() -> None:
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
    assert "would be  sealed.yaml (was sealed for keys/prod-" in done(
        "reseal --key ../prod-key.yaml --cert keys/prod.pem --dry-run .", 1
    )
    done("reseal --key ../prod-key.yaml --cert keys/prod.pem .")
    done("sops updatekeys .")
    done("sops rotate .")
    assert "accepted" in done("check --open --key ../prod-key-2.yaml")


@needs("gatekeeper-upstream")
def test_the_walk_through_the_pages_on_checking_can_be_walked(tmp_path: Path) -> None:
    """The commands of README, docs/check.md, policies.md, waivers.md, reports.md and references.md in a new repository."""
    root = tmp_path / "shop"

    def done(words: str, status: int = 0) -> str:
        code, out, err = command(*shlex.split(words), cwd=root if root.exists() else tmp_path)
        assert code == status, f"{words}: {out}{err}"
        return out

    done("init shop --controller flux --ci github --hooks git")
    assert "accepted" in done("check")
    assert "kind: Kustomization" in done("render clusters/production")
    assert "kind: Deployment" in done("render apps/shop/overlays/production")
    assert "GitRepository" in done("graph") and done("graph --format mermaid").startswith("flowchart")
    done("doctor")
    done("policy test policy/")
    (root / "configmap.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: prod}\ndta: {a: b}\n"
    )
    assert "configmap.yaml:4:1: error" in done("check", 1)
    done("check --format text --format sarif=gatekeeper.sarif --format junit=gatekeeper.xml", 1)
    assert (root / "gatekeeper.sarif").exists() and (root / "gatekeeper.xml").exists()
    for part in (1, 2):
        code, _, err = command("check", "--shard", f"{part}/2", "--format", f"json={tmp_path / str(part)}", cwd=root)
        assert code in (0, 1), err
    assert done(f"merge {tmp_path / '1'} {tmp_path / '2'} --format text", 1) == done("check", 1)
    done("check --write-baseline")
    assert "accepted" in done("check") and "waived" in done("check")
    (root / "gatekeeper-baseline.json").unlink()
    waiver = "# gatekeeper:waive rule=schema/unknown-field expires=2100-01-01 reason=test\n"
    (root / "gatekeeper.yaml").write_text((root / "gatekeeper.yaml").read_text() + "waivers: {maxDays: 100000}\n")
    (root / "configmap.yaml").write_text((root / "configmap.yaml").read_text().replace("dta:", f"{waiver}dta:"))
    assert "accepted" in done("check")
