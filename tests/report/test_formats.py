"""What all formats have in common, and what each one's readers demand of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import orjson
import pytest

from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict
from gatekeeper.report import formats, github, json
from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT

SARIF = jsonschema.Draft7Validator(
    orjson.loads((Path(__file__).parent.parent / "vectors" / "sarif-2.1.0.schema.json").read_bytes())
)
POD = ObjectRef("v1", "Pod", "prod", "web")
ERROR = Finding(
    "images/latest-tag",
    "error",
    "50% | a <b>,\nnew: line",
    Location("a b/é.yaml", 2, 8),
    POD,
    ("spec", 0),
    "mend it",
    "field",
)
WARNING = Finding("rbac/wildcard", "warning", "too much \x07", Location("b.yaml", 1), ObjectRef("v1", "Node", "", "n"))
NOTE = Finding("yaml/syntax", "info", "file only", Location("c.yaml"))
GAPS = (Gap("d.yaml", "cannot be read", is_fatal=True), Gap("e.bin", "a binary file"))
FULL = Verdict((ERROR, WARNING, NOTE), Coverage(5, 2, 1, GAPS), ("regorus", "1"), "sha256:" + "0" * 64, "c0ffee")
WAIVED = ERROR._replace(waiver=AppliedWaiver("moving", "2027-01-01", "ann", "T-1", Location("waivers.yaml", 2)))
PAST = FULL._replace(findings=(ERROR, WARNING._replace(is_preexisting=True), WAIVED), shard=(1, 2))
EMPTY = Verdict(coverage=Coverage(1, 1, 1))


@pytest.mark.parametrize("name", formats.REPORT_FORMATS)
@pytest.mark.parametrize("verdict", [FULL, EMPTY], ids=["full", "empty"])
def test_every_format_is_the_same_each_time_and_ends_with_its_line(name: str, verdict: Verdict, tmp_path: Path) -> None:
    text = formats.render_report(name, verdict, tmp_path)
    assert text == formats.render_report(name, verdict, tmp_path)
    assert text.endswith("\n")


@pytest.mark.parametrize("name", [name for name in formats.REPORT_FORMATS if name != "policyreport"])
def test_every_format_tells_findings_and_what_was_not_judged(name: str, tmp_path: Path) -> None:
    text = formats.render_report(name, FULL, tmp_path)
    for words in ("images/latest-tag", "rbac/wildcard", "file only", "cannot be read"):
        assert words in text


@pytest.mark.parametrize("verdict", [FULL, EMPTY, PAST], ids=["full", "empty", "past"])
def test_sarif_is_valid(verdict: Verdict, tmp_path: Path) -> None:
    SARIF.validate(orjson.loads(formats.render_report("sarif", verdict, tmp_path)))


def test_sarif_tells_what_is_new_where_the_past_is_known(tmp_path: Path) -> None:
    def states(verdict: Verdict) -> list[str | None]:
        [run] = orjson.loads(formats.render_report("sarif", verdict, tmp_path))["runs"]
        return [result.get("baselineState") for result in run["results"]]

    assert states(FULL) == [None, None, None]
    assert states(PAST) == ["new", "unchanged", "new"]


@pytest.mark.parametrize("verdict", [FULL, EMPTY, PAST], ids=["full", "empty", "past"])
def test_the_json_report_can_be_read_again(verdict: Verdict, tmp_path: Path) -> None:
    policies = verdict._replace(policy_digest="sha256:" + "0" * 64)
    assert json.parse_report(formats.render_report("json", policies, tmp_path).encode()) == policies


def test_what_is_old_counts_nowhere(tmp_path: Path) -> None:
    old = FULL._replace(findings=(ERROR._replace(is_preexisting=True),), coverage=Coverage(1, 1, 1))
    assert old.decision == "accepted" and old.exit_code == 0
    assert "::error" not in formats.render_report("github", old, tmp_path)
    assert "<failure" not in formats.render_report("junit", old, tmp_path)
    assert orjson.loads(formats.render_report("gitlab", old, tmp_path)) == []


def test_sarif_has_regions_fingerprints_and_escaped_paths(tmp_path: Path) -> None:
    [run] = orjson.loads(formats.render_report("sarif", FULL, tmp_path))["runs"]
    first, second, third = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "a%20b/%C3%A9.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 2, "startColumn": 8},
    }
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == first["ruleId"]
    assert first["partialFingerprints"] == {"gatekeeper/v1": ERROR.fingerprint}
    assert ERROR.fingerprint == ERROR._replace(location=ERROR.location._replace(line=9)).fingerprint
    assert "region" not in third["locations"][0]["physicalLocation"]
    assert [second["level"], third["level"]] == ["warning", "note"]
    assert run["invocations"][0]["executionSuccessful"] is False


def test_junit_counts_what_it_holds(tmp_path: Path) -> None:
    suites = ElementTree.fromstring(formats.render_report("junit", FULL, tmp_path).encode())
    [suite] = suites
    assert [suite.get(word) for word in ("tests", "failures", "errors")] == ["5", "1", "1"]
    assert len(suite) == 5
    [failure] = suite.iter("failure")
    assert failure.get("message") == ERROR.message
    assert [case.get("line") for case in suite if case.find("failure") is not None] == ["2"]
    assert ElementTree.fromstring(formats.render_report("junit", EMPTY, tmp_path).encode())[0].get("tests") == "1"


def test_github_commands_are_escaped(tmp_path: Path) -> None:
    first, *_, last = formats.render_report("github", FULL, tmp_path).splitlines()
    assert first == (
        "::error file=a b/é.yaml,line=2,col=8,title=images/latest-tag::"
        "Pod prod/web: 50%25 | a <b>,%0Anew: line%0Amend it"
    )
    assert last == "gatekeeper: incomplete"
    pattern = re.compile(r"::(error|warning|notice) file=[^,:]+(,line=\d+)?(,col=\d+)?,title=[^,:]+::.+")
    assert all(pattern.fullmatch(line) for line in formats.render_report("github", FULL, tmp_path).splitlines()[:-1])


def test_githubs_summary_is_a_table_that_no_message_breaks() -> None:
    text = github.render_summary(FULL)
    assert "## gatekeeper: incomplete" in text
    assert "| error | images/latest-tag | `a b/é.yaml:2` | 50% \\| a &lt;b>, new: line |" in text
    assert "- `d.yaml`: cannot be read" in text


def test_the_summary_goes_where_github_wants_it(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    target.write_text("before\n")
    root = repository({"a.yaml": DEPLOYMENT, "gatekeeper.yaml": ""})
    code, out, _ = command("check", "--format", "github", root, env={**os.environ, "GITHUB_STEP_SUMMARY": str(target)})
    assert code == 1
    assert out.startswith("::error file=a.yaml,line=11,col=16,title=images/latest-tag::Deployment web: ")
    assert target.read_text().startswith("before\n## gatekeeper: refused\n")


def test_gitlabs_issues_have_what_gitlab_needs(tmp_path: Path) -> None:
    issues = orjson.loads(formats.render_report("gitlab", FULL, tmp_path))
    assert [issue["severity"] for issue in issues] == ["critical", "minor", "info", "blocker"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert all(issue["location"]["lines"]["begin"] >= 1 for issue in issues)


def test_policy_reports_are_one_a_namespace(tmp_path: Path) -> None:
    items = orjson.loads(formats.render_report("policyreport", FULL, tmp_path))["items"]
    assert [(item["kind"], item["metadata"].get("namespace")) for item in items] == [
        ("ClusterPolicyReport", None),
        ("PolicyReport", "prod"),
    ]
    assert items[1]["summary"] == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    assert items[1]["results"][0]["resources"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "prod"}
    ]
