"""Sync options: defaults, overrides by annotation, and errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.argocd.sync import sync_options
from gatekeeper.argocd.sync.sync_options import ALLOWED_VALUES, HELM_RESOURCE_POLICY, SYNC_OPTIONS, SyncOptions
from gatekeeper.errors import SpecError


def config_map(**annotations: str) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "a", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_annotations_of_an_object_override_the_options_of_its_application() -> None:
    general = sync_options.parse_sync_options(["Prune=false", "Replace=true"], "x")
    own = general.for_object(config_map(**{SYNC_OPTIONS: "Prune=confirm, Force=true"}))
    assert (own.get("Prune"), own.is_enabled("Replace"), own.is_enabled("Force"), own.get("Delete")) == (
        "confirm",
        True,
        True,
        "true",
    )
    assert SyncOptions().for_object(config_map(**{HELM_RESOURCE_POLICY: "keep"})).get("Prune") == "false"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("Prune=maybe", "ConfigMap a/x: invalid sync option `Prune=maybe`; use true, false, confirm"),
        ("Prune", "ConfigMap a/x: invalid sync option `Prune`"),
        ("Nothing=true", "ConfigMap a/x: unknown sync option `Nothing=true`; known are Validate"),
    ],
)
def test_an_invalid_option_is_refused_with_its_object(option: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        SyncOptions().for_object(config_map(**{SYNC_OPTIONS: option}))
    assert str(caught.value).startswith(message)


@given(st.sampled_from([(name, value) for name, values in ALLOWED_VALUES.items() for value in values]))
def test_every_allowed_value_is_read_and_the_first_is_the_default(setting: tuple[str, str]) -> None:
    name, value = setting
    assert sync_options.parse_sync_options([f"{name}={value}"], "x").get(name) == value
    assert SyncOptions().get(name) == ALLOWED_VALUES[name][0]


def test_compare_options_and_ignored_health_are_read_from_annotations() -> None:
    assert sync_options.is_extraneous(config_map(**{sync_options.COMPARE_OPTIONS: "x,IgnoreExtraneous"}))
    assert not sync_options.is_extraneous(config_map())
    assert sync_options.is_health_ignored(config_map(**{sync_options.IGNORE_HEALTH_CHECK: "true"}))
