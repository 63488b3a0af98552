"""Builds kustomizations, and folders of plain files that a controller changes, with kustomize."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.host.process import run_command
from gatekeeper.model import Finding, Gap, Location, Resource, build_ref, get_field
from gatekeeper.render.kustomization_graph import FILE_LISTS, REMOTE_PREFIXES, list_entries, list_reachable
from gatekeeper.render.model import AppliedFolder, BuildOutput, KustomizationFile, SecondRendering, join_path
from gatekeeper.render.origin import ApplierFields, KustomizeOrigin, TransformStep
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

ORIGIN_ANNOTATION = "config.kubernetes.io/origin"
TRANSFORMATIONS_ANNOTATION = "alpha.config.kubernetes.io/transformations"


# "accumulating resources from 'a': read a: is a directory: recursed accumulation of path 'a':", once a folder.
ERROR_WRAPPING = re.compile(r"^((accumulat\w+ \w+: )?accumulation err='.*?': recursed accumulation of path '[^']*': )+")


RESTRICTION_HINT = (
    "Argo CD reads only files of the kustomization's own folder: move the file there, or set `kustomize.buildOptions: "
    "--load-restrictor LoadRestrictionsNone` in the ConfigMap argocd-cm"
)


class KustomizeTarget(NamedTuple):
    """What one run of kustomize builds: a kustomization or plain files, with the fields that an applier adds."""

    folder: str
    files: tuple[str, ...] = ()
    applied_folder: AppliedFolder | None = None
    is_restricted: bool = False


def build_target(
    tree: Tree,
    kustomizations: Mapping[str, KustomizationFile],
    target: KustomizeTarget,
    files_by_path: Mapping[str, ParsedFile],
    config: Config,
) -> BuildOutput:
    """Builds a target; where kustomize fails, returns a finding with its message, and a gap."""
    file = kustomizations[target.folder].parsed_file.file if not target.files else target.files[0]
    fields, findings, gaps = _collect_fields(target)
    _reject_outside_inputs(kustomizations, target, file, findings, gaps)
    if gaps:
        return BuildOutput([], findings, gaps)
    try:
        has_charts = _has_charts(kustomizations, target)
        text = _run_kustomize(tree, target, fields, has_charts, config)
    except ToolError as error:
        return BuildOutput([], *_report_failure(file, str(error), target.is_restricted))
    built, failure = documents.parse(text)
    if failure:
        return BuildOutput([], *_report_failure(file, f"the output of kustomize is not valid YAML: {failure[0]}"))
    second = SecondRendering(lambda: _build_again(tree, target, config)) if has_charts else None
    resources: list[Resource] = []
    for value in map(documents.to_value, built):
        if documents.is_resource(value):
            origin = _build_origin(tree, value, target, files_by_path, file)
            origin = origin._replace(number=len(resources), second_rendering=second)
            resources.append(Resource(build_ref(value), origin.rendered_json, origin))
    return BuildOutput(resources, [], [])


def _build_again(tree: Tree, target: KustomizeTarget, config: Config) -> list[Any]:
    """The objects of another build of a target with charts."""
    parsed_documents, _ = documents.parse(_run_kustomize(tree, target, _collect_fields(target)[0], True, config))
    return [value for value in map(documents.to_value, parsed_documents) if documents.is_resource(value)]


def _collect_fields(target: KustomizeTarget) -> tuple[dict[str, Any], list[Finding], list[Gap]]:
    """The fields that the applier adds, with paths from the repository's root; gaps for paths that are refused."""
    by = target.applied_folder
    if by is None:
        return {}, [], []
    fields: dict[str, Any] = orjson.loads(by.added_fields)
    refused = []
    for holder, key in _find_paths(fields):
        local = join_path(target.folder, str(holder[key]))
        if str(holder[key]).startswith((*REMOTE_PREFIXES, "/")) or local.startswith(".."):
            refused.append(str(holder[key]))
        holder[key] = local
    # A patch that names no target must match a resource, but this target may be only a part of what is applied.
    for entry in list_entries(fields, "patches"):
        if isinstance(entry, dict) and "target" not in entry and isinstance(entry.get("patch"), str):
            entry.update(_build_patch_target(entry["patch"]))
    file = by.applier.origin.file
    gaps = [
        Gap(file, f"applies {name}, which is not in the repository and not fetched", is_fatal=True) for name in refused
    ]
    return fields, [], gaps


def _find_paths(fields: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Each path among the fields, as its list or mapping and the key in it."""
    components = list_entries(fields, "components")
    yield from ((components, index) for index in range(len(components)))
    yield from (
        (entry, "path") for entry in list_entries(fields, "patches") if isinstance(entry, dict) and "path" in entry
    )


def _build_patch_target(patch: str) -> dict[str, Any]:
    patch_documents, failure = documents.parse(patch.encode())
    value = documents.to_value(patch_documents[0]) if patch_documents and failure is None else {}
    if not documents.is_resource(value):
        return {}
    ref = build_ref(value)
    version = ref.api_version.rpartition("/")[2]
    return {"target": {"group": ref.group, "version": version, "kind": ref.kind, "name": f"^{re.escape(ref.name)}$"}}


def _reject_outside_inputs(
    kustomizations: Mapping[str, KustomizationFile],
    target: KustomizeTarget,
    file: str,
    findings: list[Finding],
    gaps: list[Gap],
) -> None:
    """Reports inputs from outside the repository, which must not be built."""
    for part in () if target.files else list_reachable(kustomizations, target.folder):
        for name in part.remotes:
            reason = f"builds on the remote {name}, which Gatekeeper does not fetch: add a copy to the repository"
            gaps.append(Gap(file, reason, is_fatal=True))
        for name in part.outside_paths:
            message = f"`{name}` is outside the repository, so it was not reviewed"
            findings.append(Finding("render/outside", "error", message, _find_reference(part.parsed_file, name)))
            gaps.append(Gap(file, message, is_fatal=True))
        for name in part.missing_charts:
            reason = f"inflates the Helm chart {name}, which is not in the repository and not fetched"
            gaps.append(Gap(file, reason, is_fatal=True))


def _find_reference(parsed_file: ParsedFile, name: str) -> Location:
    value = documents.to_value(parsed_file.documents[0])
    for word in FILE_LISTS:
        if name in list_entries(value, word):
            _, line, column = parsed_file.documents[0].locate((word, value[word].index(name)))
            return Location(parsed_file.file, line, column)
    return Location(parsed_file.file, 1)


def _report_failure(file: str, message: str, is_restricted: bool = False) -> tuple[list[Finding], list[Gap]]:
    is_outside_folder = is_restricted and "security; file" in message
    finding = Finding(
        "render/kustomize",
        "error",
        message,
        Location(file, 1),
        hint=RESTRICTION_HINT if is_outside_folder else "run `kustomize build` there and correct the error",
    )
    return [finding], [Gap(file, "kustomize could not build it, so its objects were not checked", is_fatal=True)]


def _has_charts(kustomizations: Mapping[str, KustomizationFile], target: KustomizeTarget) -> bool:
    return not target.files and any(part.local_charts for part in list_reachable(kustomizations, target.folder))


def _run_kustomize(
    tree: Tree, target: KustomizeTarget, fields: dict[str, Any], has_charts: bool, config: Config
) -> bytes:
    """Builds the target inside a wrapper kustomization that requests origin and transformer annotations."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        wrapper = Path(scratch).resolve()

        def from_wrapper(path: str) -> str:
            return os.path.relpath((tree.root / path).resolve(), wrapper)

        for holder, key in _find_paths(fields):
            if target.is_restricted and key == "path":
                # The wrapper is another folder, so kustomize would refuse the file.
                holder["patch"] = _read_own_file(tree, target.folder, holder.pop(key))
            else:
                holder[key] = from_wrapper(holder[key])
        resources = [from_wrapper(path) for path in target.files or (target.folder,)]
        settings = {**fields, "resources": resources, "buildMetadata": ["originAnnotations", "transformerAnnotations"]}
        (wrapper / "kustomization.yaml").write_bytes(orjson.dumps(settings))
        command: list[str | Path] = [
            config.toolchain.find("kustomize"),
            "build",
            "--load-restrictor",
            "LoadRestrictionsRootOnly" if target.is_restricted else "LoadRestrictionsNone",
        ]
        if has_charts:
            command += [
                "--enable-helm",
                "--helm-command",
                config.toolchain.find("helm"),
                "--helm-kube-version",
                config.kubernetes,
            ]
        code, out, words = run_command([*command, wrapper], config.timeout)
        if code != 0:
            message = words.strip().replace(f"{tree.root.resolve()}/", "").replace(str(wrapper), "the wrapper")
            raise ToolError(_extract_last_cause(message))
        return out


def _read_own_file(tree: Tree, folder: str, file: str) -> str:
    content = tree.read_file(file)
    if isinstance(content, Gap) or not f"/{file}".startswith(f"/{folder}/".replace("//", "/")):
        raise ToolError(f"security; file '{file}' is not in or below '{folder}', or cannot be read")
    return content.decode("utf-8", "replace")


def _extract_last_cause(error_output: str) -> str:
    """The innermost error: kustomize wraps it once per folder, and repeats the paths each time."""
    text = " ".join(error_output.removeprefix("Error: ").split())
    text = ERROR_WRAPPING.sub("", text)
    return text if len(text) <= 600 else f"{text[:250]} … {text[-340:]}"


def _build_origin(
    tree: Tree,
    value: dict[str, Any],
    target: KustomizeTarget,
    files_by_path: Mapping[str, ParsedFile],
    default_file: str,
) -> KustomizeOrigin:
    """The origin of an object, from the annotations of kustomize, which are removed."""
    annotations = get_field(value, ("metadata", "annotations")) or {}
    origin = _parse_annotation(annotations.pop(ORIGIN_ANNOTATION, ""))
    steps = _parse_annotation(annotations.pop(TRANSFORMATIONS_ANNOTATION, ""))
    if not annotations:
        value["metadata"].pop("annotations", None)
    # The paths are relative to the wrapper outside the repository: only their part below the root matters.
    file = _resolve_noted_path(tree, get_field(origin, ("path",)) or get_field(origin, ("configuredIn",)))
    changed = tuple(
        TransformStep(
            _resolve_noted_path(tree, step.get("configuredIn")) or "", str(get_field(step, ("configuredBy", "kind")))
        )
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, dict)
    )
    json = orjson.dumps(value)
    ref = build_ref(value)
    by = (
        ApplierFields(
            target.applied_folder.applier, target.applied_folder.fields_path, target.applied_folder.added_fields
        )
        if target.applied_folder
        else None
    )
    return KustomizeOrigin(
        file=file or default_file,
        kind=ref.kind,
        name=ref.name,
        rendered_json=json,
        steps=changed,
        files_by_path=files_by_path,
        applier_fields=by,
    )


def _resolve_noted_path(tree: Tree, path: Any) -> str | None:
    """The path in the repository of a path in an annotation, which is relative to the wrapper."""
    if not isinstance(path, str):
        return None
    absolute = Path(os.path.normpath(Path(tempfile.gettempdir()).resolve() / "x" / path))
    root = tree.root.resolve()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else None


def _parse_annotation(text: Any) -> Any:
    if not isinstance(text, str) or not text:
        return {}
    parsed_documents, failure = documents.parse(text.encode())
    return documents.to_value(parsed_documents[0]) if parsed_documents and not failure else {}
