"""Sprig templates, gjson paths, regular expressions and jq, evaluated by the Go program."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.gocompat.client import GoFault
from gatekeeper.secret_value import SecretBytes
from gatekeeper.upstream import expressions
from gatekeeper.upstream.expressions import FieldRemoval, PathLookup, PatternRename
from tests.conftest import needs

pytestmark = needs("gatekeeper-upstream")
DOCUMENT = SecretBytes(b'{"a": {"b": "x"}, "n": 1.50, "list": [1, 2]}')


def test_templates_are_filled_each_with_its_own_result() -> None:
    data = {"user": SecretBytes(b"shop"), "password": SecretBytes(b"hunter2")}
    texts = ["{{ .user | upper }}:{{ .password }}", "{{ .password | nothing }}", "{{ .password | mustFromJson }}"]
    filled, unknown, failed = expressions.fill_sprig_templates(texts, data)
    assert isinstance(filled, SecretBytes) and filled.reveal() == b"SHOP:hunter2"
    assert isinstance(unknown, GoFault) and "`nothing`" in unknown.reason
    assert isinstance(failed, GoFault) and "`mustFromJson`" in failed.reason and "hunter2" not in failed.reason


def test_templates_reach_no_environment_and_no_network() -> None:
    for name in ("env", "expandenv", "getHostByName"):
        [fault] = expressions.fill_sprig_templates([f'{{{{ {name} "HOME" }}}}'], {})
        assert isinstance(fault, GoFault) and f"`{name}`" in fault.reason


@pytest.mark.parametrize(
    ("path", "is_raw", "expected"),
    [("a.b", False, b"x"), ("a.b", True, b'"x"'), ("n", True, b"1.50"), ("list.1", False, b"2"), ("a.c", False, None)],
)
def test_paths_are_looked_up(path: str, is_raw: bool, expected: bytes | None) -> None:
    [value] = expressions.look_up_paths([PathLookup(DOCUMENT, path, is_raw)])
    assert (value and value.reveal()) == expected


def test_keys_are_renamed_by_a_pattern() -> None:
    renamed = expressions.rename_by_pattern(PatternRename(("db-user", "db-key"), "^db-(.*)$", "$1"))
    assert renamed == ["user", "key"]
    assert isinstance(expressions.rename_by_pattern(PatternRename(("a",), "(", "b")), GoFault)


def test_fields_are_removed_by_jq() -> None:
    removed = expressions.remove_fields(FieldRemoval(DOCUMENT, (".a.b", ".list[0]", ".missing")))
    assert isinstance(removed, SecretBytes) and orjson.loads(removed.reveal()) == {"a": {}, "n": 1.5, "list": [2]}
    assert isinstance(expressions.remove_fields(FieldRemoval(DOCUMENT, ("|",))), GoFault)


def test_an_endless_jq_expression_is_stopped() -> None:
    fault = expressions.remove_fields(FieldRemoval(DOCUMENT, ("recurse(.)",)))
    assert isinstance(fault, GoFault) and "takes longer than a second" in fault.reason
