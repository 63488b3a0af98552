"""The JSON report: valid by its schema, and parsed again without loss."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings

from gatekeeper.model import Verdict
from gatekeeper.report import json
from tests.conftest import VERDICT
from tests.report.verdicts import EMPTY, ERROR, FULL, PAST, VERDICTS


@pytest.mark.parametrize("verdict", [FULL, EMPTY, PAST], ids=["full", "empty", "past"])
def test_the_json_report_can_be_read_again(verdict: Verdict, tmp_path: Path) -> None:
    policies = verdict._replace(policy_digest="sha256:" + "0" * 64)
    assert json.parse_report(json.render(policies, tmp_path).encode()) == policies


@settings(deadline=None)
@given(VERDICTS)
def test_any_verdict_survives_rendering_and_parsing(verdict: Verdict) -> None:
    assert json.parse_report(json.render(verdict, Path()).encode()) == verdict


@pytest.mark.parametrize("verdict", [FULL, EMPTY, PAST], ids=["full", "empty", "past"])
def test_the_report_is_valid_by_its_schema(verdict: Verdict) -> None:
    assert not list(VERDICT.iter_errors(json.to_value(verdict._replace(policy_digest="sha256:" + "0" * 64))))


def test_a_report_of_another_program_is_refused_with_the_place() -> None:
    value = json.to_value(FULL)
    value["findings"][1]["severity"] = "fatal"
    with pytest.raises(ValueError, match=r"at findings\[1\]\.severity: "):
        json.parse_report(orjson.dumps(value))
    with pytest.raises(ValueError, match="at the top level: "):
        json.parse_report(b"{}")
    with pytest.raises(ValueError):
        json.parse_report(b"no JSON")


def test_a_report_with_an_additional_field_is_refused() -> None:
    value = json.to_value(FULL._replace(findings=(ERROR,)))
    value["findings"][0]["waivedBy"] = "nobody"
    with pytest.raises(ValueError, match="waivedBy"):
        json.parse_report(orjson.dumps(value))
