"""Addresses that can be shown and compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.sources.address import normalize_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://Charts.Example.com/", "https://charts.example.com"),
        ("HTTPS://charts.example.com:443/a/", "https://charts.example.com/a"),
        ("http://charts.example.com:8080/A/b", "http://charts.example.com:8080/A/b"),
        ("https://user:word@charts.example.com/a?token=word#part", "https://charts.example.com/a"),
        ("oci://ghcr.io/org/chart", "oci://ghcr.io/org/chart"),
        ("http://[::1]:80/a", "http://[::1]/a"),
    ],
)
def test_the_same_place_has_one_address(url: str, address: str) -> None:
    assert normalize_address(url) == normalize_address(address) == address


@pytest.mark.parametrize("text", ["", "charts", "https://", "/a/b", "http://[::1", "http://h:99999/"])
def test_a_text_that_is_no_url_has_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        normalize_address(text)


@given(st.text(alphabet="aB:/@?#[].%1é \n", max_size=40))
def test_an_address_of_any_text_is_stable(text: str) -> None:
    try:
        address = normalize_address(f"https://{text}")
    except ValueError:
        return
    assert normalize_address(address) == address
    assert "@" not in address.split("/")[2]
