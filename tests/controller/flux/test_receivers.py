"""A Receiver is found by the digest in its path, and a call must be signed as its type demands."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gatekeeper.controller.flux import receivers
from gatekeeper.model import NamespacedName

TOKEN, BODY = b"token", b"{}"
DIGEST = hmac.new(TOKEN, BODY, hashlib.sha256).hexdigest()


def test_path_is_that_of_the_notification_controller() -> None:
    name = NamespacedName("flux-system", "push")
    assert receivers.build_path(TOKEN, name) == f"/hook/{hashlib.sha256(b'tokenpushflux-system').hexdigest()}"


@pytest.mark.parametrize(
    ("receiver_type", "headers", "is_authentic"),
    [
        ("generic", {}, True),
        ("generic-hmac", {"x-signature": f"sha256={DIGEST}"}, True),
        ("generic-hmac", {"x-signature": "sha256=0"}, False),
        ("generic-hmac", {}, False),
        ("github", {"x-hub-signature-256": f"sha256={DIGEST}"}, True),
        ("github", {"x-signature": f"sha256={DIGEST}"}, False),
        ("gitlab", {"x-gitlab-token": "token"}, True),
        ("gitlab", {"x-gitlab-token": "é"}, False),
    ],
)
def test_signature_of_each_type(receiver_type: str, headers: dict[str, str], is_authentic: bool) -> None:
    assert receivers.SIGNATURE_CHECKS[receiver_type](TOKEN, headers, BODY) is is_authentic
