"""Parsing of SOPS files without a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.sops.sops_file import detect_format, is_sops_file, parse_sops_file

CIPHER = "ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]"
YAML = f"""apiVersion: v1
kind: Secret
data:
  password: {CIPHER}
  list:
    - {CIPHER}
    - plain
  empty: ""
sops:
  age:
    - recipient: age1a
  mac: {CIPHER}
"""


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.yaml", "yaml"), ("a.yml", "yaml"), ("a.json", "json"), (".env", "dotenv"), ("a.ini", "ini"), ("a", "binary")],
)
def test_format_follows_from_the_file_name(name: str, file_format: str) -> None:
    assert detect_format(name) == file_format


def test_yaml_file_has_entries_metadata_and_locations() -> None:
    parsed = parse_sops_file("a.yaml", YAML.encode())
    assert parsed is not None and parsed.kind == "Secret"
    assert [(entry.path, bool(entry.ciphertext), entry.is_empty, entry.line) for entry in parsed.entries] == [
        (("apiVersion",), False, False, 1),
        (("kind",), False, False, 2),
        (("data", "password"), True, False, 4),
        (("data", "list"), True, False, 6),
        (("data", "list"), False, False, 7),
        (("data", "empty"), False, True, 8),
    ]
    assert parsed.locate("age", 0, "recipient")[0] == 11 and parsed.locate("mac")[0] == 12
    assert parsed.locate("missing")[0] == 9


def test_dotenv_and_ini_metadata_is_unflattened() -> None:
    env = f"A={CIPHER}\n# note\nsops_age__list_0__map_recipient=age1a\nsops_version=3\\n9\n"
    parsed = parse_sops_file(".env", env.encode())
    assert parsed is not None and parsed.metadata == {"age": [{"recipient": "age1a"}], "version": "3\n9"}
    assert [(entry.path, entry.line) for entry in parsed.entries] == [(("A",), 1)]
    ini = f'[db]\nA = {CIPHER}\nB = """x\nC = y\n"""\n; note\n[sops]\nage__list_0__map_recipient = age1a\n'
    parsed = parse_sops_file("a.ini", ini.encode())
    assert parsed is not None and parsed.metadata == {"age": [{"recipient": "age1a"}]}
    assert [(entry.path, entry.line, entry.column) for entry in parsed.entries] == [
        (("db", "A"), 2, 1),
        (("db", "B"), 3, 1),
    ]


def test_ciphertext_without_metadata_is_kept_as_a_broken_sops_file() -> None:
    parsed = parse_sops_file("a.yaml", f"a: {CIPHER}\n".encode())
    assert parsed is not None and parsed.metadata is None and not is_sops_file("a.yaml", f"a: {CIPHER}\n".encode())


@pytest.mark.parametrize("content", [b"", b"a: b\n", b"- sops\n", b"a: [", b"\xff", b"sops: text\n"])
@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a", ".env", "a.ini"])
def test_other_files_are_not_sops_files(name: str, content: bytes) -> None:
    assert parse_sops_file(name, content) is None and not is_sops_file(name, content)


@given(st.sampled_from([".env", "a.ini"]), st.lists(st.text('sops_listmap01=.[]"; \n', max_size=40), max_size=8))
def test_flat_files_of_any_content_never_fail(name: str, lines: list[str]) -> None:
    content = "\n".join(lines).encode()
    parsed = parse_sops_file(name, content)
    assert not is_sops_file(name, content) or (parsed is not None and parsed.metadata is not None)
