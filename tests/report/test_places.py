"""One cause in several places is one entry in each report, with the number of places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from gatekeeper.report import github, gitlab, html, json, junit, places, policyreport, sarif, text
from tests.report.verdicts import CAUSE, ERROR, FULL, PLACES

DESCRIBED = "5 places: a b/é.yaml:2, z.yaml:4, z.yaml:5 and 2 more"


def test_a_finding_at_one_place_and_a_secret_with_keys_have_no_places() -> None:
    keys = ERROR._replace(members=(ERROR._replace(message="a"), ERROR._replace(message="b")))
    for finding in (ERROR, keys):
        assert (places.list_places(finding), places.describe_places(finding)) == ((), "")
        assert places.describe_finding(finding) == places.count_places(finding) == ERROR.message


@pytest.mark.parametrize("report", [text, junit, github, gitlab, html], ids=lambda report: report.__name__)
def test_a_report_names_the_first_places_and_counts_the_others(report: Any) -> None:
    out = report.render(CAUSE, Path())
    assert out.count("Secret db is missing") == (2 if report is junit else 1), "JUnit has a short and a long message"
    assert DESCRIBED in out.replace("%3A", ":")


def test_the_summary_of_a_job_has_one_row() -> None:
    assert DESCRIBED in github.render_summary(CAUSE)


def test_the_json_report_has_all_places_and_is_read_without_loss() -> None:
    out = json.render(CAUSE, Path()).encode()
    [finding] = orjson.loads(out)["findings"]
    assert [(place["file"], place["line"], place["severity"]) for place in finding["places"]] == [
        ("a b/é.yaml", 2, "error"),
        *(("z.yaml", line, "warning") for line in range(4, 8)),
    ]
    assert [place["fingerprint"] for place in finding["places"]] == [place.fingerprint for place in PLACES]
    assert json.parse_report(out).findings == CAUSE.findings
    assert "places" not in orjson.loads(json.render(FULL, Path()))["findings"][0]


def test_the_schema_refuses_a_place_without_a_file() -> None:
    report = orjson.loads(json.render(CAUSE, Path()))
    del report["findings"][0]["places"][1]["file"]
    with pytest.raises(ValueError, match="file"):
        json.parse_report(orjson.dumps(report))


def test_sarif_has_one_result_with_the_other_places_as_related_locations() -> None:
    schema = orjson.loads((Path(json.__file__).parent / "verdict.schema.json").read_bytes())
    assert jsonschema_rs.validator_for(schema).is_valid(json.to_value(CAUSE))
    [result] = orjson.loads(sarif.render(CAUSE, Path()))["runs"][0]["results"]
    assert result["message"]["text"] == "Secret db is missing (5 places)"
    assert [place["physicalLocation"]["region"]["startLine"] for place in result["relatedLocations"]] == [4, 5, 6, 7]
    assert [place["id"] for place in result["relatedLocations"]] == [1, 2, 3, 4]
    [plain, *_] = orjson.loads(sarif.render(FULL, Path()))["runs"][0]["results"]
    assert "relatedLocations" not in plain


def test_a_policy_report_has_one_result_in_each_namespace() -> None:
    reports = orjson.loads(policyreport.render(CAUSE, Path()))["items"]
    named = [
        (report["metadata"]["namespace"], [[ref["name"] for ref in one["resources"]] for one in report["results"]])
        for report in reports
    ]
    assert named == [("prod", [["web"]]), ("test", [["api"]])]
