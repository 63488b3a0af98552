"""Waivers: what they silence and what not, how they end, and that nothing about them stays hidden."""

from __future__ import annotations

import datetime
from pathlib import Path

import orjson
import pytest

from gatekeeper.gate import pipeline
from gatekeeper.model import Verdict
from gatekeeper.report import formats
from gatekeeper.workspace import config_loader, file_selection
from tests.conftest import VERDICT, Repository, command, needs
from tests.gate.test_pipeline import DEPLOYMENT
from tests.report.test_sarif import SARIF

TODAY = datetime.date(2027, 1, 1)
RULE = "rule=images/latest-tag"
WHY = 'expires=2027-02-01 reason="no tags yet" owner=shop ticket=OPS-7'
COMMENT = f"# gatekeeper:waive {RULE} {WHY}"
IMAGE = "        image: nginx:latest\n"
ENTRY = "waivers:\n- {rule: images/*, expires: 2027-02-01, reason: no tags yet, SCOPE}\n"


def judged(root: Path, *paths: Path) -> Verdict:
    settings = config_loader.load(root, None)
    return pipeline.check_tree(
        file_selection.build_tree(paths or [root], root, settings.exclude), settings, pipeline.CheckOptions(today=TODAY)
    )


def verdict(repository: Repository, text: str, waivers: str = "", more: str = "") -> Verdict:
    files: dict[str, str | bytes] = {"apps/a.yaml": text, "gatekeeper.yaml": more}
    return judged(repository({**files, "waivers.yaml": waivers} if waivers else files))


def counted(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.active_findings]


WAIVED = [
    pytest.param(DEPLOYMENT.replace(IMAGE, f"        image: nginx:latest {COMMENT}\n"), id="on the line"),
    pytest.param(DEPLOYMENT.replace(IMAGE, f"        {COMMENT}\n{IMAGE}"), id="above the line"),
    pytest.param(DEPLOYMENT.replace(IMAGE, f"        {COMMENT}\n\n        # more\n{IMAGE}"), id="above other comments"),
    pytest.param(f"{COMMENT}\n{DEPLOYMENT}", id="above the resource"),
    pytest.param(f"a: 1\n---\n{COMMENT}\n{DEPLOYMENT}---\nb: 1\n", id="above one resource of several"),
]


@pytest.mark.parametrize("text", WAIVED)
def test_comment_waives_its_line_or_its_resource(repository: Repository, text: str) -> None:
    found = verdict(repository, text)
    assert counted(found) == []
    assert found.exit_code == 0
    [waived] = [finding.waiver for finding in found.findings if finding.waiver]
    assert (waived.reason, waived.expires, waived.owner, waived.ticket) == (
        "no tags yet",
        "2027-02-01",
        "shop",
        "OPS-7",
    )
    assert waived.place.file == "apps/a.yaml"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(DEPLOYMENT.replace(IMAGE, f"{IMAGE}        {COMMENT}\n"), id="below the line"),
        pytest.param(
            DEPLOYMENT.replace(IMAGE, f"        {COMMENT.replace('latest-tag', 'digest')}\n{IMAGE}"), id="another rule"
        ),
        pytest.param(f"{COMMENT}\na: 1\n---\n{DEPLOYMENT}", id="another document"),
    ],
)
def test_comment_waives_nothing_else_and_is_reported_as_unused(repository: Repository, text: str) -> None:
    assert sorted(counted(verdict(repository, text))) == ["images/latest-tag", "waivers/unused"]


@pytest.mark.parametrize(
    ("scope", "silences"),
    [
        ("kind: Deployment", True),
        ("kind: Pod", False),
        ("name: w*", True),
        ("name: b", False),
        ("namespace: ''", True),
        ("namespace: prod", False),
        ("file: 'apps/*'", True),
        ("file: 'infra/*'", False),
        ("field: 'spec.*.image'", True),
        ("field: spec.replicas", False),
        ("kind: Deployment, name: x", False),
    ],
)
def test_waiver_file_waives_by_scope(repository: Repository, scope: str, silences: bool) -> None:
    found = verdict(repository, DEPLOYMENT, ENTRY.replace("SCOPE", scope))
    assert counted(found) == ([] if silences else ["images/latest-tag", "waivers/unused"])


@pytest.mark.parametrize(
    ("waiver", "rule", "words"),
    [
        (f"{RULE} expires=2026-12-31 reason=x", "waivers/expired", "expired on 2026-12-31"),
        (f"{RULE} expires=2028-12-31 reason=x", "waivers/too-long", "more than 365 days"),
        (f"{RULE} expires=2027-02-01", "waivers/malformed", "has no `reason`"),
        (f"{RULE} reason=x", "waivers/malformed", "has no `expires`"),
        (f"{RULE} expires=2027-02-01 reason=", "waivers/malformed", "has no `reason`"),
        ("reason=x expires=2027-02-01", "waivers/malformed", "has no `rule`"),
        (f"{RULE} expires=soon reason=x", "waivers/malformed", "has an `expires` that is not a date"),
        (f"{RULE} expires=2027-02-01 reason=x because=y", "waivers/malformed", "has an unknown field `because`"),
        (f"{RULE} expires=2027-02-01 no tags yet", "waivers/malformed", "cannot be read"),
        (f'{RULE} expires=2027-02-01 reason="x', "waivers/malformed", "cannot be read"),
    ],
)
def test_malformed_waiver_waives_nothing_and_is_a_finding(
    repository: Repository, waiver: str, rule: str, words: str
) -> None:
    found = verdict(repository, DEPLOYMENT.replace(IMAGE, f"        # gatekeeper:waive {waiver}\n{IMAGE}"))
    assert sorted(counted(found)) == ["images/latest-tag", rule]
    [finding] = [finding for finding in found.findings if finding.rule == rule]
    assert words in finding.message
    assert finding.location == ("apps/a.yaml", 11, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\n", "the file has no `waivers`; add it"),
        ("waivers:\n- x\n", "`waivers[0]` must be a mapping"),
        (
            "waivers:\n- {rule: x, reason: y, expires: 2027-02-01, names: z}\n",
            "unknown setting `waivers[0].names`; did you mean `waivers[0].name`?",
        ),
    ],
)
def test_a_file_of_waivers_that_is_wrong_is_a_finding(repository: Repository, text: str, words: str) -> None:
    [finding] = verdict(repository, "a: 1\n", text).findings
    assert (finding.rule, finding.location.file) == ("waivers/malformed", "waivers.yaml")
    assert words in finding.message


def test_a_folder_in_place_of_the_file_of_waivers_is_an_error(repository: Repository) -> None:
    root = repository({"a.yaml": "a: 1\n", "waivers.yaml/a.yaml": "waivers: []\n"})
    code, out, err = command("check", root)
    assert (code, out) == (2, "")
    assert err == (
        "gatekeeper: waivers.yaml: is a folder, not a file with waivers; correct it, or `waivers.file` in "
        "gatekeeper.yaml\n"
    )


@pytest.mark.parametrize("target", ["gone.yaml", "/dev/null"])
def test_a_file_of_waivers_that_cannot_be_read_is_an_error(repository: Repository, target: str) -> None:
    root = repository({"a.yaml": "a: 1\n", "gatekeeper.yaml": "waivers: {file: own.yaml}\n"})
    (root / "own.yaml").symlink_to(target)
    code, out, err = command("check", root)
    assert (code, out) == (2, "")
    assert err.startswith("gatekeeper: own.yaml: ") and err.count("\n") == 1


def test_the_last_day_counts(repository: Repository) -> None:
    text = DEPLOYMENT.replace(IMAGE, f"        # gatekeeper:waive {RULE} reason=x expires={TODAY}\n{IMAGE}")
    assert counted(verdict(repository, text)) == []


def test_the_config_says_how_long_a_waiver_may_be(repository: Repository) -> None:
    found = verdict(repository, WAIVED[0].values[0], more="waivers: {maxDays: 20}\n")  # type: ignore[arg-type]
    assert sorted(counted(found)) == ["images/latest-tag", "waivers/too-long"]


def test_a_waiver_is_not_unused_when_only_a_part_is_checked(repository: Repository) -> None:
    root = repository({"a.yaml": "a: 1\n", "b/b.yaml": "b: 1\n", "waivers.yaml": ENTRY.replace(", SCOPE", "")})
    assert counted(judged(root)) == ["waivers/unused"]
    assert counted(judged(root, root / "b", root / "waivers.yaml")) == []


@needs("gatekeeper-upstream")
def test_waiver_in_a_base_applies_to_its_overlays(repository: Repository) -> None:
    root = repository(
        {
            "gatekeeper.yaml": "",
            "base/a.yaml": DEPLOYMENT.replace(IMAGE, f"        image: nginx:latest {COMMENT}\n"),
            "base/kustomization.yaml": "resources: [a.yaml]\n",
            "over/kustomization.yaml": "resources: [../base]\nnamespace: prod\n",
        }
    )
    assert counted(judged(root)) == []


def test_a_leak_in_any_file_can_be_waived(repository: Repository) -> None:
    token = "ghp_" + "x7Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf"
    comment = f"# gatekeeper:waive rule=plaintext/github-token {WHY}"
    root = repository({"a.tf": f'{comment}\ntoken = "{token}"\n', "gatekeeper.yaml": ""})
    assert counted(judged(root)) == []


@pytest.mark.parametrize("name", formats.REPORT_FORMATS)
def test_every_report_shows_or_leaves_out_what_is_waived(repository: Repository, name: str, tmp_path: Path) -> None:
    found = verdict(repository, WAIVED[0].values[0])  # type: ignore[arg-type]
    text = formats.render_report(name, found, tmp_path)
    if name in ("text", "json", "sarif", "junit"):
        assert "no tags yet" in text and "2027-02-01" in text
    if name == "text":
        assert text.endswith("accepted: 1 waived\n")
    if name == "json":
        VERDICT.validate(orjson.loads(text))
    if name == "sarif":
        SARIF.validate(orjson.loads(text))
        [result] = orjson.loads(text)["runs"][0]["results"]
        assert result["suppressions"][0]["justification"] == "no tags yet"
    if name in ("github", "gitlab"):
        assert "latest-tag" not in text
    if name == "policyreport":
        assert orjson.loads(text)["items"][0]["summary"]["skip"] == 1


@pytest.mark.parametrize(
    ("today", "problem"),
    [(datetime.date(1970, 1, 1), "waivers/too-long"), (datetime.date(2100, 1, 1), "waivers/expired")],
)
def test_a_clock_that_is_wrong_by_decades_waives_nothing(
    repository: Repository, today: datetime.date, problem: str
) -> None:
    root = repository({"a.yaml": f"{COMMENT}\n{DEPLOYMENT}", "gatekeeper.yaml": ""})
    tree = file_selection.build_tree([root], root, ())
    found = pipeline.check_tree(tree, config_loader.load(root, None), pipeline.CheckOptions(today=today))
    assert {problem, "images/latest-tag"} <= set(counted(found))
    assert not any(finding.waiver for finding in found.findings)
