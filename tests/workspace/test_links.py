"""Symbolic links: what kubectl, kustomize and Helm would read under a link's name is checked, or the run is incomplete."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.workspace import file_selection, links
from tests.conftest import Repository, judge, needs, rules, verdict_of
from tests.render.rendering import FLUX

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {hostNetwork: true, containers: [{name: web, image: "web:1.0.0"}]}
"""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"
CHART = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
CONFIG = "library: {profile: default}\nfiles: {exclude: [hidden/*]}\n"
RULE = "pod-security/host-namespaces"


def link(root: Path, name: str, target: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(target)


@pytest.mark.parametrize("target", ["shared/pod.txt", "hidden/pod.yaml", "policy/pod.yaml", "chart/templates/pod.yaml"])
def test_a_link_named_as_a_manifest_is_read(repository: Repository, target: str) -> None:
    files: dict[str, str | bytes] = {target: POD, "gatekeeper.yaml": CONFIG}
    if target.startswith("policy"):
        files |= {"gatekeeper.yaml": f"{CONFIG}policies: {{paths: [policy]}}\n", "policy/a.schema.yaml": "{}\n"}
    if target.startswith("chart"):
        files |= {"chart/Chart.yaml": CHART, "chart/values.yaml": "", target: POD}
    root = repository(files)
    link(root, "apps/pod.yaml", f"../{target}")
    found = [finding for finding in judge(root).findings if finding.rule == RULE]
    assert {finding.location.file for finding in found} == {target}


def test_a_link_to_a_manifest_that_is_checked_is_only_noted(repository: Repository) -> None:
    root = repository({"shared/pod.yaml": CONFIG_MAP})
    link(root, "apps/pod.yaml", "../shared/pod.yaml")
    verdict = judge(root)
    assert verdict.decision == "accepted" and verdict.coverage.resource_count == 1
    assert ("apps/pod.yaml", "a symbolic link: checked as shared/pod.yaml") in [
        gap[:2] for gap in verdict.coverage.gaps
    ]


@pytest.mark.parametrize("target", ["kustomization.prod", "../base/kustomization.yaml"])
def test_a_link_named_as_a_kustomization_is_built(repository: Repository, target: str) -> None:
    patch = "- {op: add, path: /spec/hostNetwork, value: true}"
    kustomization = f"resources: [pod.yaml]\npatches:\n- target: {{kind: Pod}}\n  patch: |-\n    {patch}\n"
    pod = POD.replace("hostNetwork: true, ", "")
    files: dict[str, str | bytes] = {"app/pod.yaml": pod, "app/kustomization.prod": kustomization}
    files |= {
        "base/pod.yaml": pod.replace("web", "other"),
        "base/kustomization.yaml": kustomization,
        "gatekeeper.yaml": CONFIG,
    }
    root = repository(files)
    link(root, "app/kustomization.yaml", target)
    refused = {str(finding.resource_ref) for finding in judge(root).findings if finding.rule == RULE}
    assert "Pod default/web" in refused


def test_links_named_as_parts_of_a_chart_are_read(repository: Repository) -> None:
    template = POD.replace("spec: {hostNetwork: true, ", "spec:\n  hostNetwork: {{ .Values.host }}\n  ").replace(
        "]}\n", "]\n"
    )
    files: dict[str, str | bytes] = {"c/chart.txt": CHART, "c/v.txt": "host: false\n", "v/prod.yaml": "host: true\n"}
    root = repository({**files, "c/pod.tpl.txt": template, "gatekeeper.yaml": CONFIG})
    link(root, "c/Chart.yaml", "chart.txt")
    link(root, "c/values.yaml", "v.txt")
    link(root, "c/values-prod.yaml", "../v/prod.yaml")
    link(root, "c/templates/pod.yaml", "../pod.tpl.txt")
    found = [finding for finding in judge(root).findings if finding.rule == RULE]
    assert [finding.location.file for finding in found] == ["v/prod.yaml"]


@pytest.mark.parametrize("target", ["missing.yaml", "pod.yaml", "../../outside.yaml"])
def test_a_link_that_leads_to_no_file_of_the_repository_is_a_fatal_gap(repository: Repository, target: str) -> None:
    root = repository({"a.yaml": CONFIG_MAP})
    (root.parent / "outside.yaml").write_text(POD)
    link(root, "apps/pod.yaml", target)
    assert judge(root).decision == "incomplete"


def test_a_link_to_a_file_that_git_ignores_is_a_fatal_gap(repository: Repository) -> None:
    root = repository({".gitignore": "local.yaml\n", "local.yaml": POD})
    link(root, "apps/pod.yaml", "../local.yaml")
    subprocess.run(["git", "-C", root, "init", "-q"], check=True)
    verdict = judge(root)
    assert verdict.decision == "incomplete"
    assert any("Git ignores" in gap.reason for gap in verdict.coverage.gaps)


def test_a_link_to_a_folder_that_is_not_checked_is_a_fatal_gap(repository: Repository) -> None:
    root = repository(
        {"hidden/pod.yaml": POD, "seen/pod.yaml": CONFIG_MAP, "docs/a.txt": "", "gatekeeper.yaml": CONFIG}
    )
    link(root, "one", "seen")
    link(root, "two", "docs")
    assert not any(gap.is_fatal for gap in file_selection.build_tree([root], root, ["hidden/*"]).gaps)
    link(root, "three", "hidden")
    [gap] = [gap for gap in file_selection.build_tree([root], root, ["hidden/*"]).gaps if gap.is_fatal]
    assert gap.file == "three" and "ignored or excluded" in gap.reason


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_link_to_a_folder_that_cannot_be_read_is_a_fatal_gap_beside_a_verdict(repository: Repository) -> None:
    root = repository({"hidden/x/a.txt": "", "pod.yaml": POD, "gatekeeper.yaml": CONFIG})
    link(root, "one", "hidden")
    (root / "hidden" / "x").chmod(0)
    limits = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    program = [*limits, sys.executable, "-m", "gatekeeper", "check", "--no-cache", "--format", "json", str(root)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    (root / "hidden" / "x").chmod(0o755)
    verdict = json.loads(done.stdout)
    assert done.returncode == 3 and RULE in [finding["rule"] for finding in verdict["findings"]]
    [gap] = [gap for gap in verdict["coverage"]["skipped"] if gap["file"] == "one"]
    assert gap["fatal"] and "cannot be read completely: Permission denied" in gap["reason"]


LINKED_FILES: dict[str, str | bytes] = {
    "gatekeeper.yaml": CONFIG,
    "base/kustomization.yaml": "resources: [pod.yaml, ../other/two.yaml]\n",
    "base/pod.yaml": POD,
    "other/two.yaml": POD.replace("web,", "two,"),
    "patches/p.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: default}\nspec: {hostPID: true}\n",
    "files/three.yaml": POD.replace("web,", "three,"),
    "files/s.txt": "password: 9fKq2vLx7RtWz\n",
    "app/kustomization.yaml": """\
resources: [to-base, to-files/three.yaml]
patches: [{path: to-patches/p.yaml}]
secretGenerator: [{name: s, namespace: default, files: [to-files/s.txt]}]
""",
}


@pytest.fixture
def linked(repository: Repository) -> Path:
    """A kustomization whose folders are links."""
    root = repository(LINKED_FILES)
    for name in ("base", "files", "patches"):
        link(root, f"app/to-{name}", f"../{name}")
    return root


@needs("gatekeeper-upstream")
def test_kustomizations_are_built_through_linked_folders(linked: Path) -> None:
    verdict = judge(linked)
    assert verdict.decision == "refused" and verdict.coverage.resource_count == 4
    found = {(one.rule, one.location.file, one.location.line) for one in verdict.findings if one.rule == RULE}
    assert found == {
        (RULE, "base/pod.yaml", 4),
        (RULE, "patches/p.yaml", 4),
        (RULE, "other/two.yaml", 4),
        (RULE, "files/three.yaml", 4),
    }
    assert {finding.rule for finding in verdict.findings if finding.severity == "error"} == {"plaintext/secret"}


@needs("gatekeeper-upstream")
@pytest.mark.parametrize("name", ["base/pod.yaml", "patches/p.yaml", "files/three.yaml", "files/s.txt"])
def test_a_change_behind_a_linked_folder_is_a_change_of_the_kustomization(linked: Path, name: str) -> None:
    content = (linked / name).read_text()
    (linked / name).write_text(content.replace("hostNetwork: true, ", "").replace("hostPID: true", ""))
    git = ["git", "-C", str(linked), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    (linked / name).write_text(content + "# changed\n")
    subprocess.run([*git, "add", "-A"], check=True)
    _, verdict = verdict_of("--staged", cwd=linked)
    expected = ("plaintext/secret", "app/kustomization.yaml") if name == "files/s.txt" else (RULE, name)
    assert expected in [(finding["rule"], finding["file"]) for finding in verdict["findings"]]


@needs("gatekeeper-upstream")
def test_flux_builds_without_links(linked: Path) -> None:
    (linked / "flux.yaml").write_text(FLUX.format(name="one", path="./app"))
    messages = [one.message for one in judge(linked).findings if one.rule == "render/kustomize"]
    assert len(messages) == 4 and all("Flux leaves out" in message for message in messages)


@needs("gatekeeper-upstream")
def test_a_chart_is_rendered_through_links(repository: Repository) -> None:
    template = POD.replace("hostNetwork: true", "hostNetwork: {{ .Values.host }}")
    files: dict[str, str | bytes] = {"c/Chart.yaml": CHART, "c/values.yaml": "host: false\n"}
    files |= {"c/templates/pod.yaml": template, "envs/prod/v.yaml": "host: true\n", "gatekeeper.yaml": CONFIG}
    application = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: a, namespace: argocd}
spec:
  project: default
  destination: {namespace: default, server: "https://kubernetes.default.svc"}
  source: {repoURL: "https://git.example/r.git", path: apps/to-chart, helm: {valueFiles: [../to-envs/prod/v.yaml]}}
"""
    root = repository({**files, "a.yaml": application})
    link(root, "apps/to-chart", "../c")
    link(root, "apps/to-envs", "../envs")
    verdict = judge(root)
    found = [finding for finding in verdict.findings if finding.rule == RULE]
    assert [finding.location.file for finding in found] == ["envs/prod/v.yaml"]
    assert verdict.decision == "accepted"


def test_links_that_are_not_manifests_are_noted(repository: Repository) -> None:
    root = repository({"README.md": "a\n"})
    link(root, "docs/README.md", "../README.md")
    assert file_selection.build_tree([root], root, ()).files == ("README.md", "gatekeeper.yaml")
    assert rules(judge(root)) == set()


def test_a_change_of_the_target_is_a_change_of_the_link(repository: Repository) -> None:
    root = repository({"shared/pod.txt": POD.replace("hostNetwork: true, ", ""), "gatekeeper.yaml": CONFIG})
    link(root, "apps/pod.yaml", "../shared/pod.txt")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    (root / "shared/pod.txt").write_text(POD)
    subprocess.run([*git, "add", "-A"], check=True)
    _, verdict = verdict_of("--staged", cwd=root)
    assert RULE in [finding["rule"] for finding in verdict["findings"]]


@pytest.mark.parametrize("name", ["app/kustomization.yaml", "app/pod.yaml", "app/Chart.yaml"])
def test_a_link_that_git_wrote_as_a_text_is_a_fatal_gap(repository: Repository, name: str) -> None:
    verdict = judge(repository({name: "../shared/a.txt", "shared/a.txt": POD}))
    assert verdict.decision == "incomplete"
    assert any(gap.file == name and "core.symlinks" in gap.reason for gap in verdict.coverage.gaps)


@pytest.mark.parametrize("content", ["", "a\n", "[a]\n", "null\n"])
def test_a_kustomization_that_is_no_mapping_is_an_error(repository: Repository, content: str) -> None:
    verdict = judge(repository({"app/kustomization.yaml": content}))
    assert rules(verdict) == {"render/kustomize"} and verdict.decision == "incomplete"


@pytest.mark.parametrize("length", [200, 300, 1000, 5000])
def test_a_file_of_one_line_is_no_link_however_long_it_is(tmp_path: Path, length: int) -> None:
    content = b'{"a": "' + b"x" * length + b'"}'
    assert links.find_flattened_link(tmp_path, "a.json", content) is None
