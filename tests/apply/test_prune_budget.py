"""A prune beyond the budget needs approval."""

from __future__ import annotations

import pytest

from gatekeeper.apply import prune_budget
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.prune_budget import PruneBudget


def entries(count: int, kind: str = "ConfigMap") -> list[InventoryEntry]:
    return [InventoryEntry("a", f"x{number}", "", kind, "v1") for number in range(count)]


@pytest.mark.parametrize(
    ("gone", "before", "is_empty", "words"),
    [
        (entries(0), 5, False, ""),
        (entries(0), 0, True, ""),
        (entries(1), 2, False, ""),
        (entries(3), 100, False, ""),
        (entries(11), 100, False, "more than 10 at once"),
        (entries(3), 5, False, "3 of 5 objects would be deleted, more than 50%"),
        (entries(1), 1, True, "the path renders no objects: all 1 applied objects would be deleted"),
        (entries(1, "Namespace"), 100, False, "Namespace a/x0 is of a protected kind (Namespace)"),
        (entries(1, "PersistentVolumeClaim"), 100, False, "its data or dependents"),
    ],
)
def test_prune_beyond_the_budget_needs_approval(
    gone: list[InventoryEntry], before: int, is_empty: bool, words: str
) -> None:
    reason = prune_budget.find_excess(gone, before, is_empty, PruneBudget())
    assert words in reason and bool(reason) == bool(words)
