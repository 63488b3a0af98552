"""Terraform as policies see it: HCL files and plans, in the shape that conftest gives them, with lines.

A block is a list at its labels, as hcl2json has it: `resource "aws_s3_bucket" "logs" {}` is
`{"resource": {"aws_s3_bucket": {"logs": [{}]}}}`. A plan is what `terraform show -json` prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.model import TERRAFORM_KIND, FieldPath, Finding, Gap, Location, ObjectRef, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.model import FileOrigin
from gatekeeper.upstream.client import open_client
from gatekeeper.upstream.terraform import TerraformAnswer, TerraformFile, parse_terraform
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

# Files written by hand are far smaller.
MAX_BYTES = 4 * 1024 * 1024
JSON_SUFFIXES = (".tf.json", ".tfvars.json")
SUFFIXES = (".tf", ".tfvars", *JSON_SUFFIXES)
# The number of labels of each block type, to give `.tf.json` files the same shape.
LABEL_COUNTS = {
    "resource": 2,
    "data": 2,
    "variable": 1,
    "output": 1,
    "module": 1,
    "provider": 1,
    "terraform": 0,
    "locals": 0,
}


class TerraformOrigin(NamedTuple):
    """The positions of the blocks and attributes of one file, as JSON: they are seldom needed."""

    file: str
    positions: bytes

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.protocols.Origin`."""
        del key
        positions = _decode_positions(self.positions)
        while path and path not in positions:
            path = path[:-1]
        return Location(self.file, *positions.get(path, (1, 1)))


@lru_cache(maxsize=64)
def _decode_positions(positions: bytes) -> dict[FieldPath, tuple[int, int]]:
    return {tuple(path): (line, column) for path, line, column in orjson.loads(positions)}


class TerraformFiles(NamedTuple):
    """Terraform files as resources, findings about files with errors, and gaps for those that cannot be read."""

    resources: list[Resource]
    findings: list[Finding]
    gaps: list[Gap]


def parse_files(tree: Tree, parsed_files: Sequence[ParsedFile], kubernetes: str = "") -> TerraformFiles:
    """Parses all Terraform files and plans of a tree.

    Args:
        kubernetes: the version of Kubernetes for the Go program, which parses HCL, too.
    """
    done = TerraformFiles([], [], [])
    answers = _parse_sources(tree, kubernetes, done)
    for file, answer in answers.items():
        if answer.fault:
            _report_fault(file, answer, done)
        elif answer.value:
            version = "terraform.io/hcl" if file.endswith(".tf") else "terraform.io/tfvars"
            ref = ObjectRef(version, TERRAFORM_KIND, "", file)
            done.resources.append(Resource(ref, answer.value, TerraformOrigin(file, answer.places)))
    for source in parsed_files:
        if source.file.endswith(".json") and source.role == "documents" and len(source.documents) == 1:
            [document] = source.documents
            if source.file.endswith(JSON_SUFFIXES):
                value = documents.to_value(document)
                if isinstance(value, dict) and source.file in answers and not answers[source.file].fault:
                    is_code = source.file.endswith(".tf.json")
                    shaped = _normalize_json(value) if is_code else value
                    version = "terraform.io/hcl" if is_code else "terraform.io/tfvars"
                    done.resources.append(
                        _build_resource(source.file, version, shaped, FileOrigin(source.file, document))
                    )
            elif b'"terraform_version"' in document.json and b'"format_version"' in document.json:
                ref = ObjectRef("terraform.io/plan", TERRAFORM_KIND, "", source.file)
                done.resources.append(Resource(ref, document.json, FileOrigin(source.file, document)))
    return done


def _parse_sources(tree: Tree, kubernetes: str, result: TerraformFiles) -> dict[str, TerraformAnswer]:
    """The answers of the parser for each file that can be read; without the program there is one gap for all."""
    files: list[TerraformFile] = []
    for file in tree.files:
        if file.endswith(SUFFIXES):
            content = tree.read_file(file)
            if isinstance(content, Gap):
                result.gaps.append(content)
            elif len(content) > MAX_BYTES:
                reason = f"larger than {MAX_BYTES >> 20} MB: not read as Terraform"
                result.gaps.append(Gap(file, reason, is_fatal=True))
            elif file in tree.utf16_files:
                answer = TerraformAnswer(fault="it is UTF-16, and Terraform reads UTF-8", line=1, column=1)
                _report_fault(file, answer, result)
            else:
                files.append(TerraformFile(file, content))
    if not files:
        return {}
    try:
        answers = parse_terraform(open_client(kubernetes), files)
    except ToolError as error:
        others = f" and {len(files) - 1} other Terraform files" if len(files) > 1 else ""
        result.gaps.append(Gap(files[0].name, f"this file{others} cannot be parsed: {error}", is_fatal=True))
        return {}
    return {file.name: answer for file, answer in zip(files, answers, strict=True)}


def _report_fault(file: str, answer: TerraformAnswer, result: TerraformFiles) -> None:
    message = f"cannot be read as Terraform: {answer.fault}"
    place = Location(file, answer.line, answer.column) if answer.line else Location(file)
    result.findings.append(
        Finding("terraform/syntax", "error", message, place, hint="run `terraform validate` for details")
    )
    result.gaps.append(Gap(file, message, is_fatal=True))


def _build_resource(file: str, version: str, value: dict[str, Any], origin: FileOrigin) -> Resource:
    ref = ObjectRef(version, TERRAFORM_KIND, "", file)
    return Resource(ref, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), origin)


def _normalize_json(value: dict[str, Any]) -> dict[str, Any]:
    """Converts a `.tf.json` file to the shape of HCL, with its bodies in lists."""
    return {name: _wrap_bodies(body, LABEL_COUNTS.get(name, 0)) for name, body in value.items()}


def _wrap_bodies(value: Any, label_count: int) -> Any:
    if label_count and isinstance(value, dict):
        return {name: _wrap_bodies(body, label_count - 1) for name, body in value.items()}
    return value if isinstance(value, list) else [value]
