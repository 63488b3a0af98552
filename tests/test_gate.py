"""The whole way: a repository in, a verdict out, as a user sees it; and every kind of bad input."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.conftest import SHARED, Repository, command, judge, needs, rules, shared, verdict_of

GOOD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: b}
data: {key: value}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:latest
"""


def test_a_good_repository_is_accepted(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    code, verdict = verdict_of(root)
    assert (code, verdict["verdict"]) == (0, "accepted")
    assert verdict["coverage"] == {
        "files": 2,
        "resources": 1,
        "checked": 1,
        "skipped": [{"file": "gatekeeper.yaml", "reason": "no Kubernetes resource", "fatal": False}],
    }


def test_a_finding_names_rule_place_resource_and_remedy(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD.replace("\ndata:", "\ndta:")})
    code, verdict = verdict_of(root)
    [finding] = verdict["findings"]
    assert code == 1
    assert {key: finding[key] for key in ("rule", "file", "line", "column", "field", "hint")} == {
        "rule": "schema/unknown-field", "file": "a.yaml", "line": 4, "column": 1, "field": "dta",
        "hint": "did you mean `data`?",
    }  # fmt: skip
    assert finding["resource"] == {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "b", "name": "a"}


def test_the_same_input_gives_the_same_bytes_whatever_the_number_of_workers(repository: Repository) -> None:
    root = repository(
        {"gatekeeper.yaml": "", **{f"{n}.yaml": DEPLOYMENT.replace("web", f"web-{n}") for n in range(60)}}
    )
    outputs = {command("check", "--format", "json", "--jobs", jobs, root)[1] for jobs in ("1", "2", "7")}
    assert len(outputs) == 1


@shared("article")
@needs("kustomize")
def test_the_articles_examples_are_judged_as_they_stand() -> None:
    verdict = judge(SHARED / "article")
    said = {(finding.rule, finding.place.file, finding.place.line) for finding in verdict.findings}
    assert {
        ("schema/required", "base/deployment.yaml", 6),
        ("images/latest-tag", "base/deployment.yaml", 12),
        ("sealed/not-base64", "secrets/sealed.yaml", 9),
        ("sealed/not-base64", "secrets/sealed.yaml", 10),
    } <= said


BAD: list[tuple[str, dict[str, str | bytes], int, str]] = [
    ("broken YAML", {"a.yaml": "a: [1\n"}, 3, "cannot be read"),
    ("not UTF-8", {"a.yaml": b"a: \xff\xfe\n"}, 3, "not UTF-8 at byte 3"),
    ("deep nesting", {"a.yaml": "[" * 10_000}, 3, "nested more than"),
    ("a policy that does not compile", {
        "gatekeeper.yaml": "policies: {paths: [p]}\n", "p/a.rego": "package a\n\ndeny contains if {\n", "a.yaml": GOOD,
    }, 3, "p/a.rego: does not compile"),
    ("a policy folder without policies", {"gatekeeper.yaml": "policies: {paths: [p]}\n", "p/x.txt": ""}, 3, "no .rego"),
    ("a policy folder that is not there", {"gatekeeper.yaml": "policies: {paths: [p]}\n"}, 3, "no such file"),
    ("data that is no JSON", {
        "gatekeeper.yaml": "policies: {paths: [p], data: [d]}\n", "p/a.rego": "package a\n", "d/x.json": "{",
    }, 3, "d/x.json:2:1: is no JSON"),
    ("an unknown setting", {"gatekeeper.yaml": "enginee: opa\n"}, 2, "unknown setting `enginee`"),
    ("a setting of the wrong type", {"gatekeeper.yaml": "policies: {paths: x}\n"}, 2, "must be a list of texts"),
    ("an unknown Kubernetes version", {"gatekeeper.yaml": "kubernetes: '1.2'\n"}, 2, "can be 1.25 to"),
    ("a kind without a schema", {"a.yaml": "apiVersion: x.io/v1\nkind: X\n"}, 3, "no schema for X"),
    ("a kustomization that builds on a URL", {
        "kustomization.yaml": "resources: ['https://example.com/x?ref=v1']\n",
    }, 3, "is not fetched"),
    ("a kustomization that leaves the repository", {
        "kustomization.yaml": "resources: [../../etc/passwd]\n",
    }, 3, "outside of the repository"),
    ("a CRD folder without CRDs", {
        "gatekeeper.yaml": "schemas: {crds: [c]}\n", "c/x.yaml": "a: 1\n",
    }, 2, "schemas.crds"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "status", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD])
def test_bad_input_gets_one_clear_message(
    repository: Repository, files: dict[str, str | bytes], status: int, words: str
) -> None:
    code, out, err = command("check", repository(files))
    assert code == status, out + err
    assert words in out + err
    assert "Traceback" not in out + err


def test_one_bad_file_does_not_stop_the_judging_of_the_rest(repository: Repository) -> None:
    verdict = judge(repository({"a.yaml": "a: [1\n", "b.yaml": GOOD.replace("\ndata:", "\ndta:")}))
    assert rules(verdict) == {"yaml/syntax", "schema/unknown-field"}
    assert verdict.exit_code == 3


def test_a_path_that_is_not_there() -> None:
    code, _, err = command("check", "/nowhere/at/all")
    assert code == 2
    assert "no such file or folder" in err


def test_a_file_that_is_too_large_is_a_gap(repository: Repository) -> None:
    root = repository({"a.yaml": GOOD})
    with (root / "big.yaml").open("wb") as handle:
        handle.truncate(50 << 20)
    verdict = judge(root)
    assert verdict.exit_code == 3
    assert any(gap.file == "big.yaml" and "larger than" in gap.reason for gap in verdict.coverage.skipped)


def test_links_that_loop_or_leave_the_repository_are_gaps(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.yaml": GOOD})
    (tmp_path / "secret.yaml").write_text(GOOD)
    (root / "loop").symlink_to("loop")
    (root / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (root / "in.yaml").symlink_to("a.yaml")
    reasons = {gap.file: (gap.reason, gap.fatal) for gap in judge(root).coverage.skipped}
    assert "leads nowhere" in reasons["loop"][0] and reasons["loop"][1]
    assert "out of the repository" in reasons["out.yaml"][0] and reasons["out.yaml"][1]
    assert "judged as a.yaml" in reasons["in.yaml"][0] and not reasons["in.yaml"][1]


@needs("kustomize")
def test_a_repository_behind_a_link_is_judged_like_the_repository(repository: Repository, tmp_path: Path) -> None:
    root = repository({"a.yaml": GOOD, "kustomization.yaml": "resources: [a.yaml]\n"})
    (tmp_path / "link").symlink_to(root)
    assert judge(tmp_path / "link") == judge(root)


def test_a_policy_that_never_ends_is_stopped_and_told(repository: Repository) -> None:
    slow = """package slow
import rego.v1
deny contains "x" if {
	some a in numbers.range(1, 3000)
	some b in numbers.range(1, 3000)
	some c in numbers.range(1, 3000)
	a * b * c == -1
}
"""
    config = "library: {profile: 'off'}\npolicies: {paths: [p], timeout: 0.2}\n"
    root = repository({"a.yaml": GOOD, "p/slow.rego": slow, "gatekeeper.yaml": config})
    began = time.monotonic()
    verdict = judge(root)
    assert time.monotonic() - began < 30
    assert verdict.exit_code == 3
    assert any("policies.timeout" in gap.reason for gap in verdict.coverage.skipped)


def test_no_kustomize_is_told_and_never_accepted(repository: Repository, tmp_path: Path) -> None:
    root = repository({"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": GOOD})
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    code, out, _ = command("check", root, env=environment)
    assert code == 3
    assert "gatekeeper tools install kustomize" in out


def test_no_secret_value_is_in_any_output(repository: Repository) -> None:
    secret = "hunter2-Zk9vQ1x7Lm3"
    root = repository({
        "a.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{password: {secret}}}\n",
        "b.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: b}}\ndata: {secret}\n",
    })  # fmt: skip
    for form in ("text", "json"):
        code, out, err = command("check", "--format", form, root)
        assert code == 1
        assert secret not in out + err
