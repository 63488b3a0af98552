"""The Go program for templates of external-secrets."""

from __future__ import annotations

from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault, KeyRename
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs

pytestmark = needs("gotemplate")


def test_templates_are_filled_each_with_its_own_result() -> None:
    data = {"user": SecretBytes(b"shop"), "password": SecretBytes(b"hunter2")}
    filled, failed = client.fill_templates(["{{ .user | upper }}:{{ .password }}", "{{ .nobody }}"], data)
    assert isinstance(filled, SecretBytes) and filled.reveal() == b"SHOP:hunter2"
    assert isinstance(failed, GoFault) and "nobody" in failed.reason and "hunter2" not in failed.reason


def test_keys_are_renamed_by_a_template() -> None:
    assert client.rename_keys(KeyRename(("a",), "{{ .value | upper }}")) == ["A"]
    assert isinstance(client.rename_keys(KeyRename(("a",), "{{ .value | nothing }}")), GoFault)
