"""`--staged` checks the content of the next commit, by the configuration, pins and policies that it contains."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from gatekeeper.commands import check
from gatekeeper.errors import UsageError
from gatekeeper.host.toolchain import TOOLS
from gatekeeper.workspace import lockfile
from tests.conftest import Repository
from tests.gate.test_pipeline import DEPLOYMENT
from tests.host import run_git

GOOD = DEPLOYMENT.replace("latest", "1.0").replace("spec:\n  sel", "spec:\n  replicas: 1\n  sel")
RULE = 'package main\nimport rego.v1\ndeny contains "forbidden" if input.metadata.labels.team == data.teams.forbidden\n'
TEAM = GOOD.replace("metadata: {name: web}", "metadata: {name: web, labels: {team: shop}}")
DATA, NO_DATA = '{"teams": {"forbidden": "shop"}}', '{"teams": {"forbidden": "none"}}'
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, required: [size], properties: {size: {}}}}}}
"""
WIDGET = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: web}\nspec: {size: 1}\n"
LEAKS = "[[rules]]\nid = \"team-token\"\nregex = '''team-([a-z0-9]{12})'''\nkeywords = [\"team-\"]\n"
TOKEN = "team-" + "x7k2m9q4w1z8"
TOMORROW = datetime.date.today() + datetime.timedelta(days=1)
WAIVERS = f"waivers: [{{rule: schema/*, reason: r, expires: {TOMORROW}}}]\n"
SETTINGS = "library: {profile: 'off'}\nwaivers: {file: ci/waivers.yaml, baseline: ci/baseline.json}\n"
POLICIES = "policies: {paths: [./policy], data: [policy/data.json]}\n"
Commit = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def committed(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Writes and commits a repository, and works in it, with a cache of its own."""
    monkeypatch.setenv("GATEKEEPER_CACHE", str(tmp_path / "cache"))

    def write(files: dict[str, str | bytes]) -> Path:
        root = repository(files)
        run_git(root, "init", "-q")
        run_git(root, "add", ".")
        run_git(root, "commit", "-qm", "x")
        monkeypatch.chdir(root)
        return root

    return write


def check_staged(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = check.check(["--staged", "--format", "json", *arguments])
    return code, orjson.loads(capsys.readouterr().out)


def find_active_rules(verdict: Any) -> list[str]:
    return [one["rule"] for one in verdict["findings"] if not one["waived"]]


def write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def stage(root: Path, file: str, content: str) -> None:
    write(root / file, content)
    run_git(root, "add", "--force", file)


def lock_kustomize(version: str) -> str:
    entry = {"package": TOOLS["kustomize"].package, "version": version, "sums": {}}
    return orjson.dumps({"schema": lockfile.SCHEMA, "tools": {"kustomize": entry}}).decode()


@pytest.mark.parametrize("arguments", [[], ["--config", "gatekeeper.yaml"]])
def test_the_lock_of_the_index_pins_the_programs(
    committed: Commit, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    root = committed({"kustomization.yaml": "resources: [web.yaml]\n", "web.yaml": GOOD})
    stage(root, lockfile.LOCK_FILE, lock_kustomize("v5.0.9"))
    (root / lockfile.LOCK_FILE).write_text("{not a lock")
    with pytest.raises(UsageError, match=r"gatekeeper\.lock: pins kustomize v5\.0\.9"):
        check_staged(capsys, *arguments)


def test_a_lock_that_is_not_staged_pins_nothing(committed: Commit, capsys: pytest.CaptureFixture[str]) -> None:
    root = committed({"web.yaml": GOOD})
    (root / lockfile.LOCK_FILE).write_text("{not a lock")
    assert check_staged(capsys)[0] == 0


class Case(NamedTuple):
    """What is committed, what is then changed without `git add`, the manifest that is staged, and what must be found."""

    settings: str
    own: dict[str, str | bytes]
    unstaged: dict[str, str]
    manifest: str
    expected: list[str]


WRONG = GOOD.replace("replicas: 1", "replicas: one")
CASES = {
    "weaker data": Case(POLICIES, {"policy/own.rego": RULE, "policy/data.json": DATA}, {"policy/data.json": NO_DATA}, TEAM, ["main/deny"]),
    "stricter data": Case(POLICIES, {"policy/own.rego": RULE, "policy/data.json": NO_DATA}, {"policy/data.json": DATA}, TEAM, []),
    "weaker policy": Case(POLICIES, {"policy/own.rego": RULE, "policy/data.json": DATA}, {"policy/own.rego": "package main\n"}, TEAM, ["main/deny"]),
    "another policy": Case(POLICIES, {"policy/own.rego": "package main\n", "policy/data.json": DATA}, {"policy/new.rego": RULE}, TEAM, []),
    "weaker schema": Case("schemas: {crds: [crds]}\n", {"crds/own.yaml": CRD}, {"crds/own.yaml": CRD.replace("[size]", "[]")}, WIDGET.replace("size: 1", ""), ["schema/required"]),
    "weaker leak rule": Case("leaks: {rules: [ci/leaks.toml]}\n", {"ci/leaks.toml": LEAKS}, {"ci/leaks.toml": LEAKS.replace("team-", "tame-")}, f"{GOOD}# {TOKEN}\n", ["plaintext/team-token"]),
    "a baseline": Case("", {}, {"ci/baseline.json": "BASELINE"}, WRONG, ["schema/type"]),
    "waivers": Case("", {}, {"ci/waivers.yaml": WAIVERS}, WRONG, ["schema/type"]),
}  # fmt: skip


@pytest.mark.parametrize("ignored", ["", "policy/\nci/\ncrds/\n"], ids=["listed", "ignored"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_unstaged_policies_do_not_apply(
    committed: Commit, capsys: pytest.CaptureFixture[str], case: Case, ignored: str
) -> None:
    first = WIDGET if case.manifest.startswith("apiVersion: example") else GOOD
    root = committed({"gatekeeper.yaml": f"{SETTINGS}{case.settings}", "web.yaml": first, **case.own})
    assert check_staged(capsys)[0] == 0, "fills the cache"
    check.check([])
    (root / ".git" / "info" / "exclude").write_text(ignored)
    stage(root, "web.yaml", case.manifest)
    capsys.readouterr()
    (root / "ci").mkdir(exist_ok=True)
    if "ci/baseline.json" in case.unstaged:
        check.check(["--write-baseline", "--no-cache"])
        assert (root / "ci" / "baseline.json").exists()
    for file, content in case.unstaged.items():
        if content != "BASELINE":
            write(root / file, content)
    capsys.readouterr()
    found = [find_active_rules(check_staged(capsys, *arguments)[1]) for arguments in ([], ["--no-cache"])]
    assert found == [case.expected, case.expected]


def test_a_policy_folder_of_the_command_line_is_read_as_it_is_now(
    committed: Commit, capsys: pytest.CaptureFixture[str]
) -> None:
    root = committed({"gatekeeper.yaml": "library: {profile: 'off'}\n", "web.yaml": GOOD, "policy/own.rego": "package main\n"})  # fmt: skip
    stage(root, "web.yaml", TEAM)
    found = []
    for content in ("package main\n", RULE.replace("data.teams.forbidden", '"shop"')):
        write(root / "policy" / "own.rego", content)
        found.append(find_active_rules(check_staged(capsys, "--policy", "policy")[1]))
    assert found == [[], ["main/deny"]]
