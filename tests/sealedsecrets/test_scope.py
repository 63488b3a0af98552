"""The scope of a SealedSecret and the annotations that record it."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.sealedsecrets.scope import (
    ANNOTATION_PREFIX,
    FORMER_SEALED_WITH_ANNOTATION,
    SCOPES,
    SEALED_WITH_ANNOTATION,
    build_label,
    find_sealed_with,
    parse_scope,
)


@pytest.mark.parametrize(
    ("scope", "label"), [("strict", b"prod/db"), ("namespace-wide", b"prod"), ("cluster-wide", b"")]
)
def test_label_binds_only_what_the_scope_binds(scope: str, label: bytes) -> None:
    assert build_label(scope, "prod", "db") == label


@pytest.mark.parametrize("annotations", [None, [], "x", {}, {"other": "true"}, {ANNOTATION_PREFIX + "strict": "true"}])
def test_scope_is_strict_without_a_wider_annotation(annotations: Any) -> None:
    assert parse_scope(annotations) == "strict"


def test_widest_scope_wins_and_only_the_text_true_counts() -> None:
    assert parse_scope({ANNOTATION_PREFIX + scope: "true" for scope in SCOPES}) == "cluster-wide"
    assert parse_scope({ANNOTATION_PREFIX + "cluster-wide": True, ANNOTATION_PREFIX + "namespace-wide": "true"}) == (
        "namespace-wide"
    )


def test_fingerprint_is_read_from_the_new_and_the_former_annotation() -> None:
    def sealed(**annotations: Any) -> dict[str, Any]:
        return {"metadata": {"annotations": annotations}}

    new = ("metadata", "annotations", SEALED_WITH_ANNOTATION)
    former = ("metadata", "annotations", FORMER_SEALED_WITH_ANNOTATION)
    assert find_sealed_with(sealed(**{FORMER_SEALED_WITH_ANNOTATION: "a"})) == (former, "a")
    both = sealed(**{FORMER_SEALED_WITH_ANNOTATION: "a", SEALED_WITH_ANNOTATION: "b"})
    assert find_sealed_with(both) == (new, "b")
    for value in (None, {}, sealed(), sealed(**{SEALED_WITH_ANNOTATION: 5}), sealed(**{SEALED_WITH_ANNOTATION: ""})):
        assert find_sealed_with(value) == ((), "")
