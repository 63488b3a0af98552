"""The Go program: templates, paths, renames and removals."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import FieldRemoval, GoFault, KeyRename, PathLookup
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs

pytestmark = needs("gotemplate")
DOCUMENT = SecretBytes(b'{"a": {"b": "x"}, "n": 1.50, "list": [1, 2]}')


def test_templates_are_filled_each_with_its_own_result() -> None:
    data = {"user": SecretBytes(b"shop"), "password": SecretBytes(b"hunter2")}
    filled, failed = client.fill_templates(["{{ .user | upper }}:{{ .password }}", "{{ .nobody }}"], data)
    assert isinstance(filled, SecretBytes) and filled.reveal() == b"SHOP:hunter2"
    assert isinstance(failed, GoFault) and "nobody" in failed.reason and "hunter2" not in failed.reason


@pytest.mark.parametrize(
    ("path", "is_raw", "expected"),
    [("a.b", False, b"x"), ("a.b", True, b'"x"'), ("n", True, b"1.50"), ("list.1", False, b"2"), ("a.c", False, None)],
)
def test_paths_are_looked_up(path: str, is_raw: bool, expected: bytes | None) -> None:
    [value] = client.look_up_paths([PathLookup(DOCUMENT, path, is_raw)])
    assert (value and value.reveal()) == expected


def test_keys_are_renamed_by_expression_or_template() -> None:
    assert client.rename_keys(KeyRename(("db-user", "db-key"), "^db-(.*)$", "$1")) == ["user", "key"]
    assert client.rename_keys(KeyRename(("a",), template="{{ .value | upper }}")) == ["A"]
    assert isinstance(client.rename_keys(KeyRename(("a",), "(", "b")), GoFault)


def test_fields_are_removed_by_jq() -> None:
    removed = client.remove_fields(FieldRemoval(DOCUMENT, (".a.b", ".list[0]", ".missing")))
    assert isinstance(removed, SecretBytes) and orjson.loads(removed.reveal()) == {"a": {}, "n": 1.5, "list": [2]}
    assert isinstance(client.remove_fields(FieldRemoval(DOCUMENT, ("|",))), GoFault)
