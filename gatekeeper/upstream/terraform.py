"""Terraform files, parsed by HashiCorp's own parser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_list
from gatekeeper.upstream.batches import Call, call_or_fail, map_parts, split_batch
from gatekeeper.upstream.client import UpstreamClient

MAX_BATCH_FILES = 500
# For one batch. A file usually takes less than a millisecond.
BATCH_SECONDS, FILE_SECONDS = 20.0, 0.1


class TerraformFile(NamedTuple):
    """A file to parse; its name decides between HCL (`*.tf`, `*.tfvars`) and JSON (`*.json`)."""

    name: str
    content: bytes


class TerraformAnswer(NamedTuple):
    """The result for one file.

    Attributes:
        value: the file in conftest's shape, as JSON; empty for a file in JSON, of which only the syntax is tested.
        places: JSON; a list of `[path, line, column]` for each block and attribute.
        fault: why the file cannot be parsed, in the parser's words; empty if it was parsed.
        line: line and column of the fault, from 1; 0 where it has none.
    """

    value: bytes = b""
    places: bytes = b""
    fault: str = ""
    line: int = 0
    column: int = 0


def parse_terraform(client: UpstreamClient, files: Sequence[TerraformFile]) -> list[TerraformAnswer]:
    """The answers for the files, in their order.

    Raises:
        ToolError: the program is missing, cannot be started or has another version.
    """
    if not files:
        return []
    # An error in starting the program concerns all files, an error of a call only its own.
    client.get_worker()
    parts = list(split_batch(files, lambda file: len(file.content), MAX_BATCH_FILES))
    return [
        answer
        for answers in map_parts(lambda part: call_or_fail(client, part, _parse_part, _fail), parts)
        for answer in answers
    ]


def _parse_part(part: Sequence[TerraformFile], call: Call) -> list[TerraformAnswer]:
    files = [
        {"name": file.name.encode("utf-8", "replace").decode(), "content": b64encode(file.content).decode("ascii")}
        for file in part
    ]
    answer = call("terraform", {"files": files}, BATCH_SECONDS + FILE_SECONDS * len(part))
    return decode_list(_decode_answer, answer, len(part))


def _fail(error: ToolError) -> TerraformAnswer:
    return TerraformAnswer(fault=str(error))


def _decode_answer(answer: dict[str, Any]) -> TerraformAnswer:
    fault = answer.get("fault")
    if fault is not None:
        return TerraformAnswer(fault=fault["message"], line=fault["line"], column=fault["column"])
    return TerraformAnswer(answer.get("value", "").encode(), answer.get("places", "").encode())
