"""Files that the real tools made, as they are and changed byte by byte: never a wrong value, never an internal error."""

from __future__ import annotations

import base64
import os
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.config import Config
from gatekeeper.engines.encrypted import sops_files
from gatekeeper.errors import SecretFileError
from gatekeeper.gate import pipeline
from gatekeeper.sealedsecrets import keyring, sealedsecret
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli, sops_file
from gatekeeper.workspace import documents, file_selection
from tests.conftest import needs

HERE = Path(__file__).parent.parent / "vectors" / "sealed"
PLAIN: dict[str, str] = orjson.loads((HERE / "plain.json").read_bytes())
SEALED = sorted(path.name for path in HERE.glob("*-*.yaml"))
SOPS = sorted(path.name for path in HERE.glob("sops.*"))
KEYS = keyring.load_keys([(str(path), path.read_bytes()) for path in sorted(HERE.glob("*.key"))])
DAMAGES = 400


def values_of(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(text).decode("utf-8", "replace") for key, text in secret["data"].items()}


def damaged(content: bytes, seed: str, count: int = DAMAGES) -> list[bytes]:
    """The content with one byte changed, cut off, taken out, or put in twice, at many places; always the same ones."""
    chosen = random.Random(seed)
    found = []
    for _ in range(count):
        place = chosen.randrange(len(content))
        other = bytes([content[place] ^ chosen.randrange(1, 256)])
        found.append(
            chosen.choice(
                (
                    content[:place] + other + content[place + 1 :],
                    content[:place],
                    content[:place] + content[place + 1 :],
                    content[:place] + content[place : place + 1] + content[place:],
                )
            )
        )
    return found


@pytest.mark.parametrize("name", SEALED)
def test_every_vector_of_kubeseal_opens(name: str) -> None:
    [document] = documents.parse((HERE / name).read_bytes())[0]
    assert values_of(sealedsecret.unseal_secret(documents.to_value(document), list(KEYS))) == PLAIN


@needs("sops")
@pytest.mark.parametrize("name", SOPS)
def test_every_vector_of_sops_opens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(HERE / "age.txt"))
    text = sops_cli.decrypt((HERE / name).read_bytes(), sops_cli.resolve_target(HERE / name, (), 30)).reveal()
    assert PLAIN["password"].encode() in text


@pytest.mark.parametrize("name", SEALED)
def test_a_damaged_seal_gives_its_value_or_none(name: str) -> None:
    content = (HERE / name).read_bytes()
    opened = 0
    for changed in damaged(content, name, 120):
        parsed, failure = documents.parse(changed)
        if failure is not None or len(parsed) != 1:
            continue
        value = documents.to_value(parsed[0])
        try:
            found = sealedsecret.unseal_secret(value, list(KEYS)) if isinstance(value, dict) else {"data": {}}
        except SecretFileError:
            continue
        opened += 1
        # A key may be renamed, for it is not bound; no value may be another.
        assert set(values_of(found).values()) <= set(PLAIN.values())
    assert opened


@pytest.mark.parametrize("name", SOPS)
def test_a_damaged_sops_file_is_checked(name: str) -> None:
    content = (HERE / name).read_bytes()
    whole = sops_file.parse_sops_file(name, content)
    assert whole is not None and list(sops_files.check_sops_file(name, whole, content, None)) == []
    told = 0
    for changed in damaged(content, name):
        found = sops_file.parse_sops_file(name, changed)
        if found is not None:
            told += bool(list(sops_files.check_sops_file(name, found, changed, None)))
    assert told


@needs("sops")
@pytest.mark.parametrize("name", SOPS)
def test_a_damaged_sops_file_opens_to_the_same_or_not_at_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(HERE / "age.txt"))
    where = sops_cli.resolve_target(HERE / name, (), 30)
    content = (HERE / name).read_bytes()
    whole = sops_cli.decrypt(content, where)
    for changed in damaged(content, name, 15):
        try:
            found: SecretBytes = sops_cli.decrypt(changed, where)
        except SecretFileError as error:
            assert PLAIN["password"] not in str(error)
        else:
            # Comments and the names of keys that hold nothing are not part of the MAC.
            words = set(whole.reveal().split())
            assert len(words - set(found.reveal().split())) <= 1


def test_the_gate_checks_a_folder_of_damaged_files_without_a_fault(tmp_path: Path) -> None:
    chosen = random.Random(1)
    for name in (*SEALED, *SOPS):
        for number, changed in enumerate(chosen.sample(damaged((HERE / name).read_bytes(), name), 12)):
            (tmp_path / f"{number}-{name}").write_bytes(changed)
    tree = file_selection.build_tree([tmp_path], tmp_path, ())
    verdict = pipeline.check_tree(tree, Config(library="off"), pipeline.CheckOptions(os.cpu_count() or 1))
    assert verdict.decision != "accepted"
    assert not [one for one in verdict.findings if PLAIN["password"] in one.message]
