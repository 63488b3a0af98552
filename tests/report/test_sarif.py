"""The SARIF report: valid by its schema, and read as code scanning reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from gatekeeper.model import Gap, Verdict
from gatekeeper.report import sarif
from tests.report.verdicts import EMPTY, ERROR, FULL, GAPS, PAST

SARIF = jsonschema.Draft7Validator(
    orjson.loads((Path(__file__).parent.parent / "vectors" / "sarif-2.1.0.schema.json").read_bytes())
)


def run_of(verdict: Verdict) -> Any:
    """The only run of the report."""
    [run] = orjson.loads(sarif.render(verdict, Path("/nowhere")))["runs"]
    return run


@pytest.mark.parametrize("verdict", [FULL, EMPTY, PAST], ids=["full", "empty", "past"])
def test_sarif_is_valid(verdict: Verdict, tmp_path: Path) -> None:
    assert not list(SARIF.iter_errors(orjson.loads(sarif.render(verdict, tmp_path))))


def test_sarif_marks_new_findings_if_the_base_is_known() -> None:
    def states(verdict: Verdict) -> list[str | None]:
        return [result.get("baselineState") for result in run_of(verdict)["results"]]

    assert states(FULL) == [None, None, None]
    assert states(PAST) == ["new", "unchanged", "new"]


def test_sarif_has_regions_fingerprints_and_escaped_paths() -> None:
    run = run_of(FULL)
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


def test_a_waived_finding_is_suppressed_with_the_reason_and_place_of_the_waiver() -> None:
    [suppression] = run_of(PAST)["results"][2]["suppressions"]
    assert (suppression["kind"], suppression["status"], suppression["justification"]) == (
        "inSource",
        "accepted",
        "moving",
    )
    assert suppression["location"]["physicalLocation"] == {
        "artifactLocation": {"uri": "waivers.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 2},
    }
    assert suppression["properties"] == {"expires": "2027-01-01", "owner": "ann", "ticket": "T-1"}


def test_what_was_not_checked_is_a_notification_and_a_fatal_gap_an_error() -> None:
    [invocation] = run_of(FULL)["invocations"]
    noted = [(entry["level"], entry["message"]["text"]) for entry in invocation["toolExecutionNotifications"]]
    assert noted == [("error", "cannot be read"), ("note", "a binary file")]
    assert invocation["exitCode"] == 3
    harmless = FULL._replace(coverage=FULL.coverage._replace(gaps=(Gap("e.bin", "a binary file"),)))
    [refused] = run_of(harmless)["invocations"]
    assert (refused["executionSuccessful"], refused["exitCode"]) == (True, 1)
    assert GAPS[0].is_fatal
