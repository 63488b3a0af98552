"""The recipes of CONTRIBUTING.md work: each is followed, step by step, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from gatekeeper.host.git_state import list_files
from tests.conftest import needs
from tests.servers import server

ROOT = Path(__file__).parent.parent
MAX_STEPS = 8
RECIPES = ("rule", "engine", "store", "report format", "command", "controller")
# Caches that make mypy in the copy as fast as in the repository.
CACHES = (".mypy_cache", ".ruff_cache")
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# The end of the text before a block: the file that the block is about.
FILE = re.compile(r"\b[Ii]n\s+`([^`\s]+)`:\s*$")
SECRETS = """\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: local, namespace: shop}
spec: {provider: {environment: {prefix: DEMO_}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: shop}
spec:
  secretStoreRef: {name: local, kind: SecretStore}
  data: [{secretKey: password, remoteRef: {key: password}}]
"""


class Block(NamedTuple):
    """One block of a recipe: commands to run (`sh`), a change (`diff`) of a file, or the content of a file."""

    language: str
    text: str
    file: str


class Output(NamedTuple):
    """A command, its exit status and all that it printed."""

    command: str
    code: int
    text: str


@cache
def read_recipe(name: str) -> tuple[int, tuple[Block, ...]]:
    """The number of steps of a recipe, and its blocks in their order."""
    article = "an" if name == "engine" else "a"
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [section] = re.findall(rf"^## Add {article} {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    blocks, file, end = [], "", 0
    for match in BLOCK.finditer(section):
        indent, language, text = match.groups()
        # Two changes of one file follow each other without naming it again.
        named = FILE.search(section[end : match.start()])
        file, end = named.group(1) if named else file, match.end()
        blocks.append(Block(language, textwrap.dedent(text) if indent else text, file))
        assert named or language == "sh" or blocks[-2].language == "diff", f"{name}: a block without a file: {text}"
    return len(re.findall(r"^\d+\. ", section, re.MULTILINE)), tuple(blocks)


def apply_change(file: Path, change: str) -> None:
    """Applies a diff without line numbers, whose context and removed lines are in one place of the file."""
    lines = change.splitlines(keepends=True)
    assert all(line[0] in " +-\n" for line in lines), change
    before = "".join(line[1:] or line for line in lines if line[0] != "+")
    after = "".join(line[1:] or line for line in lines if line[0] != "-")
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file.name}: the change of the recipe fits {text.count(before)} places:\n{change}"
    file.write_text(text.replace(before, after), encoding="utf-8")


class Copy:
    """A copy of the repository, with the programs in `.venv/bin` that the recipes name."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        files = list_files(ROOT, ROOT)
        assert files
        native = [path.relative_to(ROOT).as_posix() for path in (ROOT / "gatekeeper").glob("_native*.so")]
        for name in (*files, *native):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        for name in CACHES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name)
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, words in (("python", ""), ("gatekeeper", "-m gatekeeper ")):
            (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" {words}"$@"\n')
            (programs / name).chmod(0o755)
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        self._followed: dict[str, list[Output]] = {}

    def run(self, line: str, **environment: str) -> Output:
        """Runs a line of a shell."""
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.root,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Output(line, done.returncode, done.stdout)

    def follow(self, name: str) -> list[Output]:
        """Follows a recipe, once: writes its files, applies its changes and runs its commands."""
        if name not in self._followed:
            self._followed[name] = outputs = []
            for block in read_recipe(name)[1]:
                if block.language == "sh":
                    outputs += [self.run(line) for line in block.text.splitlines()]
                elif block.language == "diff":
                    apply_change(self.root / block.file, block.text)
                else:
                    (self.root / block.file).write_text(block.text, encoding="utf-8")
        return self._followed[name]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("contributing") / "gatekeeper")


def assert_succeeded(outputs: list[Output]) -> None:
    for output in outputs:
        assert output.code == 0, f"{output.command}\n{output.text}"
        assert "pytest" not in output.command or (" passed" in output.text and "skipped" not in output.text), output


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_at_most_eight_steps(name: str) -> None:
    steps, blocks = read_recipe(name)
    assert 0 < steps <= MAX_STEPS and len(blocks) > 3


@needs("opa")
def test_a_new_rule_reports_its_finding(copy: Copy) -> None:
    *others, check = copy.follow("rule")
    assert_succeeded(others)
    assert check.code == 1, check.text
    assert "namespaces/owner/bad.yaml:4:1: error: Namespace shop has no label `owner`" in check.text
    assert "1 error" in check.text


def test_a_new_engine_checks(copy: Copy) -> None:
    assert_succeeded(copy.follow("engine"))
    name = "a" * 41
    (copy.root / "long.yaml").write_text(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    check = copy.run(".venv/bin/gatekeeper check long.yaml")
    assert (check.code, "names/length" in check.text, "shorten it to 40" in check.text) == (1, True, True), check.text
    steps = copy.run(".venv/bin/python -c 'from gatekeeper.gate import pipeline; print(pipeline.STEPS)'")
    assert "checking names" in steps.text


def test_a_new_store_is_read_by_sync(copy: Copy) -> None:
    assert_succeeded(copy.follow("store"))
    (copy.root / "shop").mkdir()
    (copy.root / "shop" / "secrets.yaml").write_text(SECRETS)
    for variable, code in (("DEMO_password", 0), ("DEMO_other", 1)):
        sync = copy.run(".venv/bin/gatekeeper sync --dry-run shop", **{variable: "hunter2-Zk9vQ1x7Lm3"})
        assert sync.code == code, sync.text
        assert "shop/db" in sync.text and "hunter2" not in sync.text
    assert "there is no such variable" in sync.text


def test_a_new_report_format_is_written(copy: Copy) -> None:
    *others, check = copy.follow("report format")
    assert_succeeded(others)
    assert check.code == 1
    assert check.text.startswith("rule,severity,file,line,message\n") and ",error,overlays/" in check.text


def test_a_new_command_is_listed_and_runs(copy: Copy) -> None:
    outputs = copy.follow("command")
    assert_succeeded(outputs)
    help_text, own_help, kinds = outputs[-3:]
    assert "  kinds      count the objects of a repository by kind\n" in help_text.text
    assert own_help.text.startswith("usage: gatekeeper kinds") and "examples:" in own_help.text
    assert " Deployment\n" in kinds.text


def test_a_new_controller_reconciles_a_real_cluster(copy: Copy) -> None:
    server("kube-apiserver")
    server("etcd")
    outputs = copy.follow("controller")
    assert_succeeded(outputs)
    assert "--controllers\n        - podsecurity\n" in outputs[-1].text or "podsecurity" in outputs[-1].text
    assert "Namespaces that name no level" in copy.run(".venv/bin/gatekeeper controller --help").text


# The structure test is run on the new modules and on what two modules must not share; its figures are of the product.
NEW_MODULES = "names or environment or csv or kinds or podsecurity"
PYTEST = ".venv/bin/python -m pytest -q -n0"
TOGETHER = "architecture_page or circle or unique or files_of_their_names or say_something"
CHECKS: dict[str, str] = {
    "ruff": ".venv/bin/python -m ruff check . && .venv/bin/python -m ruff format --check .",
    "mypy": ".venv/bin/python -m mypy",
    "structure": f"{PYTEST} tests/test_structure.py tests/test_docs.py -k '{NEW_MODULES} or {TOGETHER}'",
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_the_recipes_add_passes_the_checks_of_the_project(copy: Copy, name: str) -> None:
    for recipe in RECIPES:
        copy.follow(recipe)
    done = copy.run(CHECKS[name])
    assert done.code == 0, done.text
