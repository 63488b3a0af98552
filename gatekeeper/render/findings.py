"""Findings and gaps about files that cannot be rendered: broken YAML, duplicate keys, missing API versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Location, Resource, get_field
from gatekeeper.render import manifests
from gatekeeper.render.origin import is_kustomization_file
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile

MERGE_KEY = "<<"
VARIABLE_PATTERN = compile_lazily(r"\$\{#?[_A-Za-z][_A-Za-z0-9]*")
ROLE_REASONS = {
    "helm template": "a Helm template: checked as rendered by its chart",
    "encrypted": "",
}


def check_files(parsed_files: Iterable[ParsedFile]) -> tuple[list[Finding], list[Gap]]:
    """Finds manifests that cannot be read or have duplicate keys; files that are not manifests are gaps."""
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for parsed in parsed_files:
        if parsed.error_location:
            rule = "yaml/encoding" if parsed.role == "unreadable" else "yaml/syntax"
            message = f"cannot be read: {parsed.reason}"
            hint = "correct the file, or exclude it"
            findings.append(Finding(rule, "error", message, parsed.error_location, hint=hint))
            gaps.append(Gap(parsed.file, message, is_fatal=True))
        elif parsed.role != "documents":
            gaps.append(Gap(parsed.file, ROLE_REASONS.get(parsed.role) or parsed.reason))
        else:
            if [document for document in parsed.documents if document.duplicates]:
                findings.extend(_find_duplicate_keys(parsed))
            if parsed.is_utf16:
                findings.extend(_find_lost_documents(parsed))
            if is_kustomization_file(parsed.file) and not _is_mapping(parsed):
                message = "a kustomization must be a mapping with `resources` and the like"
                findings.append(Finding("render/kustomize", "error", message, Location(parsed.file, 1)))
                gaps.append(Gap(parsed.file, "kustomize cannot read it, so nothing was built there", is_fatal=True))
            heads = [document.head for document in parsed.documents]
            if heads and not any(heads):
                gaps.append(Gap(parsed.file, "no Kubernetes resource"))
            elif heads and all(head and manifests.is_program_config(head[0], head[1]) for head in heads):
                gaps.append(Gap(parsed.file, "configures a program, not a cluster"))
    return findings, gaps


def _is_mapping(parsed_file: ParsedFile) -> bool:
    return bool(parsed_file.documents) and parsed_file.documents[0].json.startswith(b"{")


def _find_duplicate_keys(parsed_file: ParsedFile) -> Iterator[Finding]:
    for document in parsed_file.documents:
        for key, line, column, first_line in document.duplicates:
            if key == MERGE_KEY:
                if document.head is not None:
                    yield _build_merge_finding(Location(parsed_file.file, line, column), first_line)
                continue
            message = f"duplicate key `{key}`: it is already in line {first_line}, and only one of them counts"
            location = Location(parsed_file.file, line, column)
            yield Finding("yaml/duplicate-key", "error", message, location, hint="remove one")


def _find_lost_documents(parsed_file: ParsedFile) -> Iterator[Finding]:
    """Finds documents in UTF-16 that only some readers read.

    Source: kyaml `kio.ByteReader` splits files at bytes; what it does not split, go-yaml reads to the first end.
    """
    lost = [document for document in parsed_file.documents[1:] if document.json != b"null"]
    if lost:
        message = "a file in UTF-16 with several documents: kustomize and Flux read only the first, kubectl all of them"
        location = Location(parsed_file.file, *lost[0].start)
        yield Finding("yaml/encoding", "error", message, location, hint="save the file as UTF-8")


def _build_merge_finding(location: Location, first_line: int) -> Finding:
    """Source: go-yaml v2 (sigs.k8s.io/yaml) and v3 (kustomize), `decode.go`."""
    message = (
        f"`<<` sets the key of line {first_line} again, to another value: kubectl and Argo CD take the value from "
        f"`<<`, kustomize and Flux that of line {first_line}"
    )
    return Finding("yaml/merge-order", "error", message, location, hint="move `<<` to the start of its mapping")


def find_missing_api_versions(parsed_file: ParsedFile) -> Iterator[Finding]:
    """Finds documents that would be resources if they had an `apiVersion`."""
    for document in parsed_file.documents:
        if document.head is not None or b'"kind"' not in document.json:
            continue
        value = documents.to_value(document)
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            continue
        if isinstance(get_field(value, ("metadata", "name")), str):
            _, line, column = document.locate(("kind",))
            message = f"{value['kind']} without `apiVersion`: the API server rejects it"
            location = Location(parsed_file.file, line, column)
            yield Finding("schema/required", "error", message, location, hint="add the `apiVersion` of the kind")


def find_unset_variables(resources: Iterable[Resource]) -> Iterator[Gap]:
    """Finds resources with a `${VAR}` that no Kustomization of the repository sets."""
    for resource in resources:
        # One byte is found faster than two.
        if b"$" in resource.json and VARIABLE_PATTERN.search(resource.json.decode("utf-8", "replace")):
            reason = "has a ${VAR} that no Kustomization of the repository sets: those fields were not checked"
            yield Gap(resource.origin.file, reason)
