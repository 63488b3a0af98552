"""Terraform files are parsed in batches; one that ends the program fails alone."""

from __future__ import annotations

import orjson
import pytest

from gatekeeper.upstream import terraform
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.terraform import TerraformAnswer, TerraformFile, parse_terraform


def test_answers_are_in_the_order_of_the_files(client: UpstreamClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "MAX_BATCH_FILES", 3)
    files = [TerraformFile(f"{number}.tf", b"a = %d\n" % number) for number in range(20)]
    answers = parse_terraform(client, files)
    assert [orjson.loads(answer.value) for answer in answers] == [{"a": number} for number in range(20)]
    assert parse_terraform(client, []) == []


def test_a_fault_has_its_place_and_others_are_parsed(client: UpstreamClient) -> None:
    first, second = parse_terraform(client, [TerraformFile("a\udce9.tf", b"a = \n"), TerraformFile("b.tf", b"")])
    assert (first.line, first.column, first.value) == (1, 5, b"") and first.fault.startswith("Invalid expression: ")
    assert second == TerraformAnswer(b"{}", b"[]")


def test_a_file_that_ends_the_program_fails_alone(client: UpstreamClient) -> None:
    """The parser needs more memory for so many values than the program may use."""
    endless = TerraformFile("b.tf", b"a = [" + b"1," * 8_000_000 + b"]\n")
    first, second, third = parse_terraform(
        client, [TerraformFile("a.tf", b"a = 1"), endless, TerraformFile("c.tf", b"")]
    )
    assert first.value == b'{"a":1}' and third.value == b"{}"
    assert second.value == b"" and second.fault.startswith("gatekeeper-upstream ")
