"""Terraform as policies see it: HCL files and plans, in the shape that conftest gives them, with lines.

A block is a list at its labels, as hcl2json has it: `resource "aws_s3_bucket" "logs" {}` is
`{"resource": {"aws_s3_bucket": {"logs": [{}]}}}`. A plan is what `terraform show -json` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.model import TERRAFORM_KIND, FieldPath, Finding, Gap, Location, ObjectRef, Resource
from gatekeeper.render.model import FileOrigin
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

# The parser is slow, and files written by hand are far smaller.
MAX_BYTES = 512 * 1024
MAX_DEPTH = 60
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
    """The positions of the blocks and attributes of one file."""

    file: str
    positions: Mapping[FieldPath, tuple[int, int]]

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.protocols.Origin`."""
        del key
        while path and path not in self.positions:
            path = path[:-1]
        return Location(self.file, *self.positions.get(path, (1, 1)))


class TerraformFiles(NamedTuple):
    """Terraform files as resources, findings about files with errors, and gaps for those that cannot be read."""

    resources: list[Resource]
    findings: list[Finding]
    gaps: list[Gap]


def parse_files(tree: Tree, parsed_files: Sequence[ParsedFile]) -> TerraformFiles:
    """Parses all HCL files, `.tf.json` files and plans of a tree."""
    done = TerraformFiles([], [], [])
    for file in tree.files:
        if file.endswith(".tf"):
            _parse_hcl(file, tree.read_file(file), done)
    for source in parsed_files:
        if source.file.endswith(".json") and source.role == "documents" and len(source.documents) == 1:
            [document] = source.documents
            if source.file.endswith(".tf.json"):
                value = documents.to_value(document)
                if isinstance(value, dict):
                    done.resources.append(
                        _build_resource(source.file, _normalize_json(value), FileOrigin(source.file, document))
                    )
            elif b'"terraform_version"' in document.json and b'"format_version"' in document.json:
                ref = ObjectRef("terraform.io/plan", TERRAFORM_KIND, "", source.file)
                done.resources.append(Resource(ref, document.json, FileOrigin(source.file, document)))
    return done


def _build_resource(file: str, value: dict[str, Any], origin: FileOrigin | TerraformOrigin) -> Resource:
    return Resource(
        ObjectRef("terraform.io/hcl", TERRAFORM_KIND, "", file),
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS),
        origin,
    )


def _parse_hcl(file: str, content: bytes | Gap, result: TerraformFiles) -> None:
    if isinstance(content, Gap):
        result.gaps.append(content)
        return
    if len(content) > MAX_BYTES:
        result.gaps.append(Gap(file, f"larger than {MAX_BYTES >> 10} KB: not read as Terraform", is_fatal=True))
        return
    # The HCL grammar takes a quarter of a second to load, so only repositories with Terraform load it.
    import hcl2
    from hcl2.utils import SerializationOptions
    from lark.exceptions import LarkError, UnexpectedInput

    options = SerializationOptions(
        with_comments=False, explicit_blocks=False, preserve_heredocs=False, strip_string_quotes=True
    )
    try:
        text = content.decode("utf-8")
        if _measure_depth(text) > MAX_DEPTH:
            raise ValueError("its brackets are too deep")
        values = hcl2.loads(text if text.endswith("\n") else f"{text}\n", serialization_options=options)
        body = hcl2.parses_to_tree(text if text.endswith("\n") else f"{text}\n").children[0]
    except (LarkError, ValueError, RecursionError) as error:
        # The message of the parser repeats the line, which may contain a secret.
        is_placed = isinstance(error, UnexpectedInput) and error.line > 0
        place = (
            Location(file, error.line, error.column)
            if isinstance(error, UnexpectedInput) and is_placed
            else Location(file)
        )
        message = "cannot be read as HCL here" if is_placed else f"cannot be read as HCL ({type(error).__name__})"
        result.findings.append(
            Finding("terraform/syntax", "error", message, place, hint="run `terraform validate` for details")
        )
        result.gaps.append(Gap(file, message, is_fatal=True))
        return
    places: dict[FieldPath, tuple[int, int]] = {}
    shaped = _convert_body(body, values, (), places)
    result.resources.append(_build_resource(file, shaped, TerraformOrigin(file, places)))


def _measure_depth(text: str) -> int:
    depth = most = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        most = max(most, depth)
    return most


def _convert_body(
    body: Any, values: Mapping[str, Any], path: FieldPath, positions: dict[FieldPath, tuple[int, int]]
) -> dict[str, Any]:
    """Converts a body to conftest's shape, and records the positions of its blocks and attributes."""
    out: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for part in _list_parts(body):
        names = list(_list_labels(part))
        name, line, column = names[0]
        if part.data == "attribute":
            out[name] = _convert_value(part, values.get(name))
            positions[(*path, name)] = (line, column)
            continue
        inner = values[name][seen.get(name, 0)]
        seen[name] = seen.get(name, 0) + 1
        holder: Any = out
        here: FieldPath = path
        for label, _, _ in names[:-1]:
            here = (*here, label)
            positions.setdefault(here, (line, column))
            holder = holder.setdefault(label, {})
        for label, _, _ in names[1:]:
            inner = inner[label]
        listed = holder.setdefault(names[-1][0], [])
        here = (*here, names[-1][0])
        positions.setdefault(here, (line, column))
        here = (*here, len(listed))
        positions[here] = (line, column)
        listed.append(_convert_body(part.children[-2], inner, here, positions))
    return out


def _convert_value(attribute: Any, value: Any) -> Any:
    """Converts an attribute's value as hcl2json does: a bare name is an expression, a heredoc has its last newline."""
    terms = [getattr(child, "data", "") for child in getattr(attribute.children[-1], "children", ())]
    if not isinstance(value, str):
        return value
    if terms == ["identifier"] and not value.startswith("${"):
        return f"${{{value}}}"
    return f"{value}\n" if terms and terms[0].startswith("heredoc") else value


def _list_parts(body: Any) -> Iterator[Any]:
    for child in getattr(body, "children", ()):
        if getattr(child, "data", "") in ("attribute", "block"):
            yield child


def _list_labels(part: Any) -> Iterator[tuple[str, int, int]]:
    """The type and labels of a block, or the name of an attribute, each with its line and column."""
    for child in part.children:
        word = getattr(child, "data", "")
        # `null`, `true` and `false` are names where a name is expected: providers are called so.
        if word in ("identifier", "keyword", "string", "literal_value"):
            yield "".join(str(token) for token in child.scan_values(_is_text_token)), child.meta.line, child.meta.column
            if part.data == "attribute":
                return


def _is_text_token(token: Any) -> bool:
    return bool(token.type != "DBLQUOTE")


def _normalize_json(value: dict[str, Any]) -> dict[str, Any]:
    """Converts a `.tf.json` file to the shape of HCL, with its bodies in lists."""
    return {name: _wrap_bodies(body, LABEL_COUNTS.get(name, 0)) for name, body in value.items()}


def _wrap_bodies(value: Any, label_count: int) -> Any:
    if label_count and isinstance(value, dict):
        return {name: _wrap_bodies(body, label_count - 1) for name, body in value.items()}
    return value if isinstance(value, list) else [value]
