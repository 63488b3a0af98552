"""The options that an object is applied with, by its labels and annotations."""

from __future__ import annotations

import pytest

from gatekeeper.flux import apply_options
from gatekeeper.flux.ownership import GROUP
from tests.apply.test_order import one


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize(("key", "setting"), [("ssa", "iGnOrE"), ("reconcile", "Disabled")])
def test_object_is_skipped_by_its_own_setting_in_git_or_in_the_cluster(field: str, key: str, setting: str) -> None:
    value = one("ConfigMap", more={field: {f"{GROUP}/{key}": setting}})
    assert apply_options.is_skipped(value, None) and apply_options.is_skipped(one("A"), value)
    assert not apply_options.is_skipped(one("A"), one("A"))


def test_object_that_is_created_only_if_missing_is_not_changed() -> None:
    present = one("ConfigMap", annotations={f"{GROUP}/ssa": "IfNotPresent"})
    assert not apply_options.is_skipped(present, None) and apply_options.is_skipped(present, one("ConfigMap"))


def test_settings_become_options() -> None:
    options = apply_options.build_apply_options(False, (), one("ConfigMap"), None)
    assert (options.is_forced, options.should_adopt, options.is_skipped) == (False, True, False)
    marked = one("ConfigMap", annotations={f"{GROUP}/force": "enabled", f"{GROUP}/ssa": "merge"})
    options = apply_options.build_apply_options(False, (), marked, None)
    assert (options.is_forced, options.should_adopt) == (True, False)
    assert apply_options.build_apply_options(True, (), one("ConfigMap"), None).is_forced
