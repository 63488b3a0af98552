"""Verdicts in the cache: decoded without loss, and nothing else decodes to a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from gatekeeper.gate import verdict_codec
from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict
from tests.report.verdicts import FULL, VERDICTS


def test_a_verdict_survives_being_kept() -> None:
    place = Location("a.yaml", 1, 2)
    waived = AppliedWaiver("because", "2027-01-01", "me", "T-1", Location("waivers.yaml", 3, None))
    one = Finding("r", "error", "m", place, ObjectRef("v1", "Pod", "", "a"), ("spec", 0, "x"), "h", "field", waived)
    whole = Verdict(
        (one, Finding("s", "info", "n", Location("b"))), Coverage(1, 2, 3, (Gap("c", "d", True),)), ("e", "1"), "p", "q"
    )
    assert verdict_codec.from_bytes(verdict_codec.to_bytes(whole)) == whole


@settings(deadline=None)
@given(VERDICTS)
def test_any_verdict_is_decoded_as_it_was_encoded(verdict: Verdict) -> None:
    assert verdict_codec.from_bytes(verdict_codec.to_bytes(verdict)) == verdict


def test_decoded_verdict_is_not_cacheable_by_default() -> None:
    assert not verdict_codec.from_bytes(verdict_codec.to_bytes(FULL._replace(is_cacheable=True))).is_cacheable


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b'[[],[1,2],[],"",null,null]', b'[[[]],[0,0,0,[]],[],"",null,null]']
)
def test_other_content_is_an_error_and_no_verdict(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError, IndexError)):
        verdict_codec.from_bytes(content)
