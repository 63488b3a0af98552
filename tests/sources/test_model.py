"""Requests and pins: the keys of the lock, which contain no secret."""

from __future__ import annotations

from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.model import SourcePin, SourceRequest

URL = SecretBytes(b"https://user:hidden-word@charts.example.com/?token=hidden-word")


def test_a_key_names_the_chart_and_the_range() -> None:
    request = SourceRequest("helm", "https://charts.example.com", URL, "web", (("", ">= 1.0   <2"),))
    assert request.key == "helm https://charts.example.com web >= 1.0 <2"
    # Each rule can choose another version of a range.
    assert request._replace(rule="argocd").key.endswith(" (argocd)")


def test_a_key_of_an_artifact_names_the_fields_of_its_ref() -> None:
    request = SourceRequest("oci", "oci://ghcr.io/a/b", URL, reference=(("semver", "1.x"), ("semverFilter", ".*-rc")))
    assert request.key == "oci oci://ghcr.io/a/b semver=1.x semverFilter=.*-rc"
    assert request._replace(layer=("text/x", "copy")).key.endswith(" layer=text/x copy")


def test_a_request_shows_no_part_of_its_url() -> None:
    request = SourceRequest("helm", "https://charts.example.com", URL, "web")
    assert "hidden-word" not in repr(request) + request.key


def test_a_pin_is_written_without_empty_fields() -> None:
    pin = SourcePin("1.0.0", "https://charts.example.com/web-1.0.0.tgz", "sha256:" + "0" * 64)
    assert list(pin.encode()) == ["version", "url", "digest"]
    assert SourcePin(**pin._replace(size=7).encode()) == pin._replace(size=7)
