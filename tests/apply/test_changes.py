"""What counts as a write, and as a failure."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply import changes
from gatekeeper.apply.changes import ApplyAction, ObjectChange

OBJECT: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}}


@pytest.mark.parametrize(
    ("action", "is_write"),
    [("create", True), ("configure", True), ("unchanged", False), ("skip", False), ("failed", False)],
)
def test_only_create_and_configure_write(action: ApplyAction, is_write: bool) -> None:
    change = ObjectChange(OBJECT, action)
    assert change.is_write is is_write and str(change) == "ConfigMap prod/x"
    assert changes.list_failed([change, None]) == ([change] if action == "failed" else [])
