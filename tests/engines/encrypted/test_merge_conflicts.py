"""Unresolved merge conflicts in encrypted files."""

from __future__ import annotations

import pytest

from gatekeeper.engines.encrypted import merge_conflicts
from tests.conftest import needs
from tests.engines.encrypted.test_sops_files import VALUE, told
from tests.sops.conftest import Shop, shop

__all__ = ["shop"]


@needs("sops")
def test_a_conflict_in_an_encrypted_file_is_found(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\nb: x\n")
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([lines[0], "<<<<<<< HEAD", lines[1], "=======", lines[1], ">>>>>>> other", *lines[2:], ""])
    )
    found = [one for one in told(shop) if one.rule == "sealed/conflict"]
    assert [one.location.line for one in found] == [2]


CONFLICT = "a: 1\n<<<<<<< HEAD\nb: {mark}\n=======\nb: 2\n>>>>>>> other\n"
SEAL = "ENC[AES256_GCM,x]"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (CONFLICT.format(mark=SEAL), [2]),
        (CONFLICT.format(mark="kind: SealedSecret"), [2]),
        (CONFLICT.format(mark=SEAL).replace("\n", "\r\n"), [2]),
        (CONFLICT.format(mark=SEAL) * 2, [2]),
        (CONFLICT.format(mark="plain"), []),
        (f"<<<<<<< HEAD\nb: {SEAL}\n", []),
        (f">>>>>>> x\n<<<<<<< HEAD\nb: {SEAL}\n", []),
        (f"  <<<<<<< HEAD\nb: {SEAL}\n  >>>>>>> x\n", []),
        (f"<<<<<<<< HEAD\nb: {SEAL}\n>>>>>>>> x\n", []),
    ],
    ids=["SOPS", "SealedSecret", "CRLF", "twice", "not encrypted", "no end", "end first", "indented", "eight"],
)
def test_the_first_conflict_of_an_encrypted_file_is_found(text: str, lines: list[int]) -> None:
    found = list(merge_conflicts.check_merge_conflicts("a.yaml", text.encode()))
    assert [(finding.rule, finding.location.line) for finding in found] == [("sealed/conflict", line) for line in lines]
