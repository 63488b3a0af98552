"""The guard for kubeconfigs that come from Secrets."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.kube.untrusted_kubeconfig import FORBIDDEN_FIELDS, find_forbidden_field


def kubeconfig(user: dict[str, Any], cluster: dict[str, Any]) -> dict[str, Any]:
    return {"users": [{"name": "u", "user": user}], "clusters": [{"name": "c", "cluster": cluster}]}


def test_kubeconfig_with_inline_credentials_is_allowed() -> None:
    user = {"token": "t", "client-certificate-data": "x", "client-key-data": "x", "exec": None, "tokenFile": ""}
    cluster = {"server": "https://c", "certificate-authority-data": "x", "proxy-url": None}
    assert find_forbidden_field(kubeconfig(user, cluster)) == ""
    assert find_forbidden_field({}) == find_forbidden_field({"users": None, "clusters": [{"name": "c"}]}) == ""


@pytest.mark.parametrize(
    ("part", "field"), [(part, field) for part, names in FORBIDDEN_FIELDS.items() for field in names]
)
@pytest.mark.parametrize("value", ["x", {"command": "sh"}, {}, [], False, 0])
def test_every_forbidden_field_is_found_in_any_entry(part: str, field: str, value: Any) -> None:
    config = kubeconfig({}, {})
    config[f"{part}s"].append({"name": "second", part: {field: value}})
    assert find_forbidden_field(config) == field


@pytest.mark.parametrize("value", [None, [], "x", {"users": ["x"]}, {"clusters": [[]]}, {"users": [{"user": "x"}]}])
def test_value_without_the_form_of_a_kubeconfig_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        find_forbidden_field(value)
