"""`--staged` and `--since`: the findings that a commit or a pull request can cause are reported."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.engines.rego.bundles import resolver
from gatekeeper.engines.rego.bundles.bundle_files import Bundle
from gatekeeper.gate import pipeline
from gatekeeper.host import git_history, git_state
from gatekeeper.model import Finding
from gatekeeper.workspace import config_loader, file_selection
from tests.conftest import Repository, command, needs, verdict_of
from tests.engines.admission.test_constraints import CONSTRAINT, OBJECT, TEMPLATE
from tests.engines.references.objects import EVERYTHING, POD
from tests.gate.test_pipeline import DEPLOYMENT, GOOD
from tests.workspace.test_file_selection import run_git

FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": "",
    "base/kustomization.yaml": "resources: [web.yaml]\n",
    "base/web.yaml": DEPLOYMENT,
    "over/kustomization.yaml": "resources: [../base]\npatches: [{path: p.yaml}]\n",
    "over/p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n",
    "plain/old.yaml": DEPLOYMENT.replace("web", "old"),
    "plain/map.yaml": GOOD,
    "chart/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    "chart/values.yaml": "tag: latest\n",
    "chart/templates/d.yaml": DEPLOYMENT.replace("web", "charted").replace("latest", "{{ .Values.tag }}"),
}
BROKEN = GOOD.replace("\ndata:", "\ndta:")


@pytest.fixture
def committed(repository: Repository) -> Path:
    root = repository(FILES)
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "first")
    return root


def told(*arguments: str, cwd: Path) -> list[str]:
    code, verdict = verdict_of(*arguments, cwd=cwd)
    assert code in (0, 1)
    return sorted({finding["file"] for finding in verdict["findings"]})


@needs("gatekeeper-upstream")
def test_values_of_a_chart_in_a_kustomization_are_inputs_of_it(repository: Repository) -> None:
    kustomization = "helmGlobals: {chartHome: ../}\nhelmCharts: [{name: chart, valuesFile: prod.yaml}]\n"
    chart = {name: text for name, text in FILES.items() if name.startswith(("chart/", "gatekeeper"))}
    root = repository(
        {
            **chart,
            "chart/values.yaml": "tag: v1\n",
            "app/kustomization.yaml": kustomization,
            "app/prod.yaml": "tag: v1\n",
        }
    )
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
        run_git(root, *arguments)
    (root / "app" / "prod.yaml").write_text("tag: latest\n")
    run_git(root, "add", ".")
    _, verdict = verdict_of("--staged", cwd=root)
    assert "images/latest-tag" in {finding["rule"] for finding in verdict["findings"]}


def test_empty_index_has_no_findings(committed: Path) -> None:
    assert told("--staged", cwd=committed) == []


def test_the_index_is_checked_and_not_the_work_tree(committed: Path) -> None:
    (committed / "plain" / "map.yaml").write_text(BROKEN)
    run_git(committed, "add", ".")
    (committed / "plain" / "map.yaml").write_text(GOOD)
    assert told("--staged", cwd=committed) == ["plain/map.yaml"]
    run_git(committed, "add", ".")
    (committed / "plain" / "map.yaml").write_text(BROKEN)
    assert told("--staged", cwd=committed) == []


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("plain/map.yaml", []),
        ("over/p.yaml", ["base/web.yaml"]),
        ("base/web.yaml", ["base/web.yaml"]),
        ("chart/templates/d.yaml", ["chart/values.yaml"]),
        ("gatekeeper.yaml", ["base/web.yaml", "chart/values.yaml", "plain/old.yaml"]),
    ],
)
def test_change_includes_the_files_that_it_can_break(committed: Path, file: str, reached: list[str]) -> None:
    path = committed / file
    path.write_text(path.read_text() + "# a change\n")
    run_git(committed, "add", ".")
    assert told("--staged", cwd=committed) == reached
    assert told("--since", "HEAD", cwd=committed) == reached


@needs("gatekeeper-upstream")
def test_removal_of_an_object_reports_its_references(committed: Path) -> None:
    (committed / "pod.yaml").write_text(POD)
    (committed / "all.yaml").write_text(EVERYTHING)
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "second")
    (committed / "all.yaml").write_text(EVERYTHING.replace("name: db", "name: database"))
    run_git(committed, "add", ".")
    for argument in (["--staged"], ["--since", "HEAD"]):
        code, verdict = verdict_of(*argument, cwd=committed)
        assert code == 1
        assert [(one["file"], one["line"]) for one in verdict["findings"] if one["rule"] == "references/missing"] == [
            ("pod.yaml", 14)
        ]


@needs("gatekeeper-upstream")
def test_deletion_is_far_reaching(committed: Path) -> None:
    (committed / "plain" / "map.yaml").unlink()
    run_git(committed, "add", ".")
    assert told("--staged", cwd=committed) == ["base/web.yaml", "chart/values.yaml", "plain/old.yaml"]


def test_a_pull_request_counts_from_where_it_parted(committed: Path) -> None:
    run_git(committed, "checkout", "-qb", "mine")
    (committed / "plain" / "new.yaml").write_text(BROKEN)
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "mine")
    run_git(committed, "checkout", "-q", "main")
    (committed / "plain" / "theirs.yaml").write_text(BROKEN)
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "theirs")
    run_git(committed, "checkout", "-q", "mine")
    assert told("--since", "main", cwd=committed) == ["plain/new.yaml"]


def edit(root: Path, luck: random.Random) -> None:
    """One small change somewhere, mostly for the worse."""
    file = luck.choice([name for name in FILES if name != "gatekeeper.yaml"])
    path = root / file
    old, new = luck.choice(
        [
            ("latest", "1.0"),
            ("nginx", "web:latest #"),
            ("replicas: 2", "replica: 2"),
            ("key:", "1:"),
            ("app: ", "ap: "),
            ("resources:", "commonLabels: {a: b}\nresources:"),
            ("kind: Config", "kind: Con"),
        ]
    )
    if path.exists():
        path.write_text(path.read_text().replace(old, new) + luck.choice(["", "# x\n"]))


def all_findings(root: Path, changed: frozenset[str] | None = None) -> set[tuple[str, str, str]]:
    settings = config_loader.load(root, None)
    verdict = pipeline.check_tree(
        file_selection.build_tree([root], root, settings.exclude),
        settings,
        pipeline.CheckOptions(2, changed_files=changed),
    )
    found: list[Finding] = list(verdict.findings)
    named = (finding for finding in found if finding.rule != "references/unused")
    return {(finding.rule, finding.location.file, finding.message) for finding in named}


@needs("gatekeeper-upstream")
@pytest.mark.parametrize("seed", range(12))
def test_incremental_check_reports_every_finding_of_a_full_check(committed: Path, seed: int) -> None:
    luck = random.Random(seed)
    before = all_findings(committed)
    for _ in range(luck.randint(1, 3)):
        edit(committed, luck)
    after = all_findings(committed)
    part = all_findings(
        committed, git_state.list_changed_files(committed, git_history.find_merge_base(committed, "HEAD"))
    )
    assert after - before <= part <= after


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "gone"], "commit not found"),
        (["--since=-x"], "not a revision"),
        (["--staged", "plain"], "checks the whole index; remove PATH"),
        (["--staged", "--since", "HEAD"], "not allowed with"),
    ],
)
def test_wrong_arguments_have_a_clear_message(committed: Path, arguments: list[str], told: str) -> None:
    code, _, err = command("check", *arguments, cwd=committed)
    assert (code, told in err) == (2, True), err


@pytest.mark.parametrize("argument", ["--staged", "--since=HEAD"])
def test_staged_and_since_need_git(repository: Repository, argument: str) -> None:
    code, _, err = command("check", argument, cwd=repository({"a.yaml": GOOD}))
    assert (code, "Traceback" in err) == (2, False)
    assert "Git" in err or "commit not found" in err


def test_a_history_without_common_commit_is_reported(committed: Path) -> None:
    run_git(committed, "checkout", "-q", "--orphan", "other")
    run_git(committed, "commit", "-qm", "other")
    code, _, err = command("check", "--since", "main", cwd=committed)
    assert (code, "fetch more history" in err) == (2, True)


def test_an_index_with_conflicts_is_reported(committed: Path) -> None:
    for branch in ("a", "b"):
        run_git(committed, "checkout", "-qB", branch, "main")
        (committed / "plain" / "map.yaml").write_text(GOOD.replace("value", branch))
        run_git(committed, "commit", "-qam", branch)
    subprocess.run(["git", "-C", committed, "merge", "a"], capture_output=True, check=False)
    code, _, err = command("check", "--staged", cwd=committed)
    assert (code, "plain/map.yaml: has conflicts in the index" in err) == (2, True), err


def test_real_pre_commit_runs_the_hook_and_stops_a_bad_commit(committed: Path, tmp_path: Path) -> None:
    hook = f"- repo: local\n  hooks:\n  - {{id: g, name: gatekeeper, entry: {sys.executable} -m gatekeeper check --staged, "
    (committed / ".pre-commit-config.yaml").write_text(
        f"repos:\n{hook}language: system, pass_filenames: false, always_run: true}}\n"
    )
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home")}
    run = [sys.executable, "-m", "pre_commit", "run"]
    run_git(committed, "add", ".")
    good = subprocess.run(run, cwd=committed, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert good.returncode == 0, good.stdout
    (committed / "plain" / "map.yaml").write_text(BROKEN)
    run_git(committed, "add", ".")
    bad = subprocess.run(run, cwd=committed, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert bad.returncode == 1
    assert "unknown field `dta`" in bad.stdout


def test_the_manifest_for_pre_commit_is_valid() -> None:
    manifest = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"
    run = [sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@needs("gatekeeper-upstream")
def test_preexisting_findings_are_listed_separately_and_do_not_count(committed: Path) -> None:
    path = committed / "plain" / "old.yaml"
    path.write_text(path.read_text() + "      hostNet: true\n")
    code, verdict = verdict_of("--since", "HEAD", cwd=committed)
    assert code == 1
    assert {(one["rule"], one["old"]) for one in verdict["findings"]} == {
        ("images/latest-tag", True),
        ("schema/unknown-field", False),
    }
    _, text, _ = command("check", "--since", "HEAD", cwd=committed)
    assert "in the repository before the change, not counted:\n  plain/old.yaml:" in text
    assert text.rstrip().endswith("1 from before the change")


def test_a_change_of_what_is_old_is_accepted(committed: Path) -> None:
    path = committed / "plain" / "old.yaml"
    path.write_text(path.read_text() + "# a comment\n")
    code, verdict = verdict_of("--since", "HEAD", cwd=committed)
    assert (code, verdict["verdict"]) == (0, "accepted")
    assert [one["old"] for one in verdict["findings"]] == [True]


@pytest.mark.parametrize("is_moved", [False, True])
def test_second_leak_in_a_file_with_a_leak_counts(committed: Path, is_moved: bool) -> None:
    first, second = (f"TOKEN=ghp_{text}Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf\n" for text in ("x7", "b4"))
    path = committed / ".env"
    path.write_text(f"{first}# the rest of the file stays the same\nHOST=a.example\nPORT=443\n")
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "a leak")
    path.write_text(path.read_text() + "# a comment\n")
    assert [one["old"] for one in verdict_of("--since", "HEAD", cwd=committed)[1]["findings"]] == [True]
    path.write_text(path.read_text() + second)
    if is_moved:
        run_git(committed, "mv", ".env", "moved.env")
    # The two leaks differ only by their line: which one is new is unknown, so both count.
    code, verdict = verdict_of("--since", "HEAD", cwd=committed)
    leaks = [one["old"] for one in verdict["findings"] if one["rule"] == "plaintext/github-token"]
    assert (code, leaks) == (1, [False, False])


def test_findings_of_a_renamed_file_stay_preexisting(committed: Path) -> None:
    run_git(committed, "mv", "plain/old.yaml", "plain/moved.yaml")
    _, verdict = verdict_of("--since", "HEAD", cwd=committed)
    moved = [one["old"] for one in verdict["findings"] if one["file"] == "plain/moved.yaml"]
    assert moved == [True]


def test_finding_is_new_after_its_waiver_is_removed(committed: Path) -> None:
    path = committed / "plain" / "old.yaml"
    waiver = '# gatekeeper:waive rule=images/latest-tag expires=2099-01-01 reason="moving"\n'
    (committed / "gatekeeper.yaml").write_text("waivers: {maxDays: 99999}\n")
    path.write_text(path.read_text().replace("        image:", f"        {waiver}        image:"))
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "waived")
    path.write_text(path.read_text().replace(f"        {waiver}", ""))
    code, verdict = verdict_of("--since", "HEAD", cwd=committed)
    assert (code, [one["old"] for one in verdict["findings"]]) == (1, [False])


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("c.yaml", "[web]", "[shop]"),
        ("t.yaml", "no team", "not a team"),
        ("n.yaml", "stage: prod", "stage: test"),
        ("gatekeeper.lock", "{", " {"),
        ("gatekeeper-baseline.json", "{", " {"),
    ],
)
def test_change_of_policies_reports_all_findings(repository: Repository, file: str, before: str, after: str) -> None:
    lock = '{"schema": "gatekeeper/lock/v1", "tools": {}}'
    baseline = '{"schema": "gatekeeper/baseline/v1", "reason": "r", "expires": "2027-01-01", "findings": []}'
    root = repository(
        {
            "t.yaml": TEMPLATE,
            "c.yaml": CONSTRAINT,
            "o.yaml": OBJECT.replace("TEAM", "other"),
            "plain.yaml": DEPLOYMENT,
            "n.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {stage: prod}}\n",
            "gatekeeper.lock": lock,
            "gatekeeper-baseline.json": baseline,
        }
    )
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "x")
    assert told("--staged", cwd=root) == []
    path = root / file
    path.write_text(path.read_text().replace(before, after, 1))
    run_git(root, "add", ".")
    assert "o.yaml" in told("--staged", cwd=root)


def test_a_repository_without_config_is_checked_by_the_defaults(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    (root / "gatekeeper.yaml").unlink()
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "x")
    (root / "new.yaml").write_text(DEPLOYMENT)
    run_git(root, "add", ".")
    assert told("--staged", cwd=root) == ["new.yaml"]


def test_a_shallow_clone_without_the_common_commit_is_reported(committed: Path, tmp_path: Path) -> None:
    run_git(committed, "checkout", "-qb", "mine")
    for name in ("one", "two"):
        (committed / f"{name}.yaml").write_text(GOOD.replace("name: a", f"name: {name}"))
        run_git(committed, "add", ".")
        run_git(committed, "commit", "-qm", name)
    run_git(committed, "checkout", "-q", "main")
    (committed / "theirs.yaml").write_text(GOOD.replace("name: a", "name: theirs"))
    run_git(committed, "add", ".")
    run_git(committed, "commit", "-qm", "theirs")
    clone = tmp_path / "clone"
    run_git(
        committed, "clone", "-q", "--depth", "1", "--no-single-branch", "-b", "mine", f"file://{committed}", str(clone)
    )
    code, _, err = command("check", "--since", "origin/main", cwd=clone)
    assert (code, "fetch more history" in err) == (2, True), err


@pytest.mark.parametrize("way", ["paths: ['../team']", "bundles: [{source: '../team', digest: 'DIGEST'}]"])
def test_policies_outside_of_the_repository_check_its_copies_too(repository: Repository, way: str) -> None:
    root = repository({"a.yaml": GOOD})
    team = root.parent / "team"
    team.mkdir()
    (team / "team.rego").write_text('package team\nimport rego.v1\ndeny contains "team" if input.kind == "ConfigMap"\n')
    digest = resolver.pull(root, Bundle(str(team), "", ""))
    (root / "gatekeeper.yaml").write_text(
        f"library: {{profile: 'off'}}\npolicies: {{{way.replace('DIGEST', digest)}}}\n"
    )
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "x")
    (root / "new.yaml").write_text(GOOD.replace("name: a", "name: new"))
    run_git(root, "add", ".")
    (root / "a.yaml").write_text(GOOD + "# not staged, so that the index is written out\n")
    code, verdict = verdict_of("--staged", cwd=root)
    assert (code, [one["rule"] for one in verdict["findings"]]) == (1, ["team/deny"])
    code, verdict = verdict_of("--since", "HEAD", cwd=root)
    assert {(one["file"], one["old"]) for one in verdict["findings"]} == {("a.yaml", True), ("new.yaml", False)}
