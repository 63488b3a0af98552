"""Terraform files, parsed by HashiCorp's own parser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from gatekeeper.errors import ToolError
from gatekeeper.upstream.client import UpstreamClient
from gatekeeper.upstream.worker import WorkerLostError

MAX_BATCH_FILES = 500
MAX_BATCH_BYTES = 4 * 1024 * 1024
# For one batch. A file usually takes less than a millisecond.
BATCH_SECONDS, FILE_SECONDS = 20.0, 0.1
# While Go parses one batch, another is encoded and decoded.
CONCURRENT_BATCHES = 2


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
    with ThreadPoolExecutor(CONCURRENT_BATCHES) as pool:
        parts = pool.map(lambda part: _parse_part(client, part), _split(files))
        return [answer for part in parts for answer in part]


def _split(files: Sequence[TerraformFile]) -> Iterator[list[TerraformFile]]:
    """Parts that are small enough for one call."""
    part: list[TerraformFile] = []
    size = 0
    for file in files:
        if part and (len(part) >= MAX_BATCH_FILES or size + len(file.content) > MAX_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(file)
        size += len(file.content)
    if part:
        yield part


def _parse_part(client: UpstreamClient, part: list[TerraformFile]) -> list[TerraformAnswer]:
    """The answers for a part; if the program is lost twice, for each half of it, so that one file alone fails."""
    files = [
        {"name": file.name.encode("utf-8", "replace").decode(), "content": b64encode(file.content).decode("ascii")}
        for file in part
    ]
    try:
        found = client.call("terraform", {"files": files}, BATCH_SECONDS + FILE_SECONDS * len(part))
    except WorkerLostError as error:
        if len(part) == 1:
            return [TerraformAnswer(fault=str(error))]
        middle = len(part) // 2
        return [answer for half in (part[:middle], part[middle:]) for answer in _parse_part(client, half)]
    except ToolError as error:
        return [TerraformAnswer(fault=str(error))] * len(part)
    return [_decode_answer(one) for one in found]


def _decode_answer(answer: dict[str, Any]) -> TerraformAnswer:
    fault = answer.get("fault")
    if fault is not None:
        return TerraformAnswer(fault=fault["message"], line=fault["line"], column=fault["column"])
    return TerraformAnswer(answer.get("value", "").encode(), answer.get("places", "").encode())
