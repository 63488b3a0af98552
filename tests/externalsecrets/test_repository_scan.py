"""Finding the ExternalSecrets of a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets.collection import KnownNamespaces
from gatekeeper.externalsecrets.repository_scan import scan_repository
from tests.conftest import Repository
from tests.externalsecrets.test_decision import STORE, es

NONE_KNOWN = KnownNamespaces({}, False)


def test_objects_are_found_with_their_default_namespace_and_refused_with_their_line(repository: Repository) -> None:
    root = repository(
        {
            "a.yaml": es().replace(", namespace: prod", ""),
            "store.yaml": STORE,
            "bad.yaml": es("bad").replace("target: {}", "odd: {}"),
        }
    )
    desired = scan_repository(root, "team", NONE_KNOWN)
    assert [str(spec) for spec in desired.specs] == ["ExternalSecret team/db"] and len(desired.stores) == 1
    assert [str(refusal) for refusal in desired.refusals] == [
        "bad.yaml:6: ExternalSecret prod/bad: `spec.odd` is not supported"
    ]


def test_file_that_cannot_be_read_is_refused_before_all_others(repository: Repository) -> None:
    root = repository({"a.yaml": es().replace("target: {}", "odd: {}"), "b.yaml": "a: [\n"})
    refusals = scan_repository(root, "team", NONE_KNOWN).refusals
    assert refusals[0].location.startswith("b.yaml") and len(refusals) == 2


def test_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        scan_repository(tmp_path / "none", "team", NONE_KNOWN)
