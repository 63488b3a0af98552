"""Values of ConfigMaps and Secrets are inlined, and masked in messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import SpecError
from gatekeeper.flux import post_build_values
from gatekeeper.secret_value import SecretBytes

DATA = {
    ("ConfigMap", "region"): {"region": SecretBytes(b"eu\n"), "tier": SecretBytes(b"one")},
    ("Secret", "login"): {"password": SecretBytes(b"hunter2"), "tier": SecretBytes(b"two")},
}


def kustomization(*sources: dict[str, Any], **values: str) -> dict[str, Any]:
    return {"spec": {"postBuild": {"substituteFrom": list(sources), "substitute": values}}}


def lookup(kind: str, name: str) -> dict[str, SecretBytes] | None:
    return DATA.get((kind, name))


def test_later_sources_and_the_kustomization_itself_win() -> None:
    sources = ({"kind": "ConfigMap", "name": "region"}, {"kind": "Secret", "name": "login"})
    inlined, secret_values = post_build_values.inline_values(kustomization(*sources, region="us"), lookup)
    expected = {"region": "us", "tier": "two", "password": "hunter2"}
    assert inlined["spec"]["postBuild"] == {"substitute": expected}
    assert [value.reveal() for value in secret_values] == [b"hunter2", b"two"]


def test_missing_source_is_an_error_unless_it_is_optional() -> None:
    missing = {"kind": "Secret", "name": "none"}
    with pytest.raises(SpecError, match="Secret none not found: create it, or set `optional: true`"):
        post_build_values.inline_values(kustomization(missing), lookup)
    assert post_build_values.inline_values(kustomization({**missing, "optional": True}), lookup)[1] == ()
    with pytest.raises(SpecError, match="only ConfigMap and Secret are possible"):
        post_build_values.inline_values(kustomization({"kind": "Service", "name": "x"}), lookup)
    plain = {"spec": {"path": "."}}
    assert post_build_values.inline_values(plain, lookup) == (plain, ())


@given(st.text(min_size=post_build_values.MIN_MASKED_LENGTH), st.text(), st.text())
def test_masked_text_never_contains_the_secret(secret: str, before: str, after: str) -> None:
    plain = secret.encode("utf-8", "replace").decode().replace("\n", "")
    if len(plain) < post_build_values.MIN_MASKED_LENGTH or "…" in plain:
        return
    masked = post_build_values.mask_secrets(f"{before}{plain}{after}", [SecretBytes(plain.encode())])
    assert "…" in masked and len(masked) <= len(f"{before}{plain}{after}")
