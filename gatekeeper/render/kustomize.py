"""Builds kustomizations, and folders of plain files that a controller changes, with kustomize."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Gap, Location, Resource, build_ref
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.inputs import RenderInputs
from gatekeeper.render.kustomization_graph import REMOTE_PREFIXES, find_reference, list_entries, list_reachable
from gatekeeper.render.model import AppliedFolder, BuildOutput, KustomizationFile, SecondRendering, join_path
from gatekeeper.render.origin import ApplierFields, KustomizeOrigin, TransformStep
from gatekeeper.upstream.kustomization import (
    BuildResult,
    BuiltObject,
    KustomizationBuild,
    KustomizationBuilder,
    KustomizationError,
)
from gatekeeper.upstream.kustomization_files import REPOSITORY, WRAPPER, decode_name, encode_name
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

# "accumulating resources from 'a': read a: is a directory: recursed accumulation of path 'a':", once a folder.
ERROR_WRAPPING = compile_lazily(
    r"^((accumulat\w+ \w+: )?accumulation err='.*?': recursed accumulation of path '[^']*': )+"
)


BUILD_HINT = "run `kustomize build` there and correct the error"
PROGRAM_HINT = (
    "run `gatekeeper doctor`, which starts gatekeeper-upstream and says what to do; "
    "`gatekeeper tools install gatekeeper-upstream` builds it again"
)
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


def build_targets(
    inputs: RenderInputs, builder: KustomizationBuilder, targets: Sequence[KustomizeTarget]
) -> list[BuildOutput]:
    """Builds targets; where kustomize fails, returns a finding with its message, and a gap.

    Args:
        builder: builds from the repository of the inputs.
    """
    outputs: dict[int, BuildOutput] = {}
    builds: dict[int, KustomizationBuild] = {}
    for number, target in enumerate(targets):
        fields, findings, gaps = _collect_fields(target)
        _reject_outside_inputs(inputs.kustomizations, target, _find_own_file(inputs, target), findings, gaps)
        if gaps:
            outputs[number] = BuildOutput([], findings, gaps)
            continue
        try:
            builds[number] = _write_build(inputs, target, fields)
        except ToolError as error:
            outputs[number] = _report_failure(inputs, target, error)
    for number, result in zip(builds, _run_builds(builder, list(builds.values())), strict=True):
        second = _plan_second_rendering(builder, builds[number]) if _has_charts(inputs, targets[number]) else None
        outputs[number] = _build_output(inputs, targets[number], result, second)
    return [outputs[number] for number in range(len(targets))]


def _run_builds(builder: KustomizationBuilder, builds: Sequence[KustomizationBuild]) -> Sequence[BuildResult]:
    try:
        return builder.build(builds) if builds else []
    except ToolError as error:
        return [error] * len(builds)


def _plan_second_rendering(builder: KustomizationBuilder, build: KustomizationBuild) -> SecondRendering:
    def render() -> list[Any]:
        [result] = builder.build([build])
        if isinstance(result, ToolError):
            raise result
        return [one.value for one in result]

    return SecondRendering(render)


def _build_output(
    inputs: RenderInputs, target: KustomizeTarget, result: BuildResult, second: SecondRendering | None
) -> BuildOutput:
    if isinstance(result, ToolError):
        return _report_failure(inputs, target, result)
    resources: list[Resource] = []
    default_file = _find_own_file(inputs, target)
    for built in result:
        if documents.is_resource(built.value):
            origin = _build_origin(inputs, built, target, default_file)
            origin = origin._replace(number=len(resources), second_rendering=second)
            resources.append(Resource(build_ref(built.value), origin.rendered_json, origin))
    return BuildOutput(resources, [], [])


def _find_own_file(inputs: RenderInputs, target: KustomizeTarget) -> str:
    return target.files[0] if target.files else inputs.kustomizations[target.folder].parsed_file.file


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
            findings.append(Finding("render/outside", "error", message, find_reference(part.parsed_file, name)))
            gaps.append(Gap(file, message, is_fatal=True))
        for name in part.missing_charts:
            reason = f"inflates the Helm chart {name}, which is not in the repository and not fetched"
            gaps.append(Gap(file, reason, is_fatal=True))


def _report_failure(inputs: RenderInputs, target: KustomizeTarget, error: ToolError) -> BuildOutput:
    file, message = _find_own_file(inputs, target), _extract_last_cause(str(error))
    hint = BUILD_HINT if isinstance(error, KustomizationError) else PROGRAM_HINT
    if target.is_restricted and "security; file" in message:
        hint = RESTRICTION_HINT
    finding = Finding(
        "render/kustomize",
        "error",
        message,
        Location(file, 1),
        hint=hint,
    )
    gap = Gap(file, "kustomize could not build it, so its objects were not checked", is_fatal=True)
    return BuildOutput([], [finding], [gap])


def _has_charts(inputs: RenderInputs, target: KustomizeTarget) -> bool:
    return not target.files and any(part.local_charts for part in list_reachable(inputs.kustomizations, target.folder))


def _write_build(inputs: RenderInputs, target: KustomizeTarget, fields: dict[str, Any]) -> KustomizationBuild:
    """The build of a target inside a wrapper kustomization that requests origin and transformer annotations.

    Raises:
        ToolError: a patch file of an Application cannot be read.
    """
    named = []
    for holder, key in _find_paths(fields):
        if target.is_restricted and key == "path":
            # kustomize would refuse the file, because it is not in the folder of the wrapper.
            holder["patch"] = _read_own_file(inputs.tree, target.folder, holder.pop(key))
        else:
            named.append(holder[key])
            holder[key] = f"..{REPOSITORY}/{encode_name(holder[key])}"
    resources = [f"..{REPOSITORY}/{encode_name(path)}".rstrip("/") for path in target.files or (target.folder,)]
    settings = {**fields, "resources": resources, "buildMetadata": ["originAnnotations", "transformerAnnotations"]}
    starts = [target.folder, *(path for path in named if path in inputs.kustomizations)]
    parts = [part for folder in starts for part in list_reachable(inputs.kustomizations, folder)]
    return KustomizationBuild(
        files={"kustomization.yaml": orjson.dumps(settings).decode()},
        is_restricted=target.is_restricted,
        folders=[part.folder for part in parts],
        inputs=[
            *target.files,
            *named,
            *(file for part in parts for file in (part.parsed_file.file, *part.files)),
        ],
        charts=[chart for part in parts for chart in part.local_charts],
    )


def _read_own_file(tree: Tree, folder: str, file: str) -> str:
    content = tree.read_file(file)
    if isinstance(content, Gap) or not f"/{file}".startswith(f"/{folder}/".replace("//", "/")):
        raise ToolError(f"security; file '{file}' is not in or below '{folder}', or cannot be read")
    return content.decode("utf-8", "replace")


def _extract_last_cause(error_output: str) -> str:
    """The innermost error: kustomize wraps it once per folder, and repeats the paths each time."""
    text = " ".join(error_output.split())
    for path in (f"..{REPOSITORY}/", f"{REPOSITORY}/"):
        text = text.replace(path, "")
    text = ERROR_WRAPPING.sub("", decode_name(text.replace(WRAPPER, "the wrapper")))
    return text if len(text) <= 600 else f"{text[:250]} … {text[-340:]}"


def _build_origin(
    inputs: RenderInputs, built: BuiltObject, target: KustomizeTarget, default_file: str
) -> KustomizeOrigin:
    applied = target.applied_folder
    ref = build_ref(built.value)
    return KustomizeOrigin(
        file=_find_noted_file(inputs, built.origin, target, default_file),
        kind=ref.kind,
        name=ref.name,
        rendered_json=orjson.dumps(built.value),
        steps=tuple(
            TransformStep(_find_noted_file(inputs, file, target, default_file) if file else "", transformer)
            for file, transformer in built.steps
        ),
        tree=inputs.tree,
        files_by_path=inputs.files_by_path,
        applier_fields=ApplierFields(applied.applier, applied.fields_path, applied.added_fields) if applied else None,
    )


def _find_noted_file(inputs: RenderInputs, file: str, target: KustomizeTarget, default_file: str) -> str:
    """The file that kustomize notes, under the name that the tree has for it.

    kustomize notes the names as they are written. Where one of them leads up from a linked folder, the noted path does
    not exist, and the file is one of those with its name.
    """
    if not file or file in inputs.files_by_path:
        return file or default_file
    real = inputs.tree.find_real_path(file) or ""
    if real in inputs.files_by_path:
        return real
    parts = list_reachable(inputs.kustomizations, target.folder)
    name = file.rpartition("/")[2]
    used = (used for part in parts for used in (part.parsed_file.file, *part.files))
    return next((used_file for used_file in used if used_file.rpartition("/")[2] == name), default_file)
