"""What one source of an Argo CD Application applies: a chart, a kustomization, or the files of a folder.

Source: argo-cd `docs/user-guide/{tool_detection,directory,helm,kustomize}.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.model import FieldPath, Gap, Resource, get_field
from gatekeeper.render import appliers, chart_uses, manifests
from gatekeeper.render.origin import join_path
from gatekeeper.render.pipeline import BuildOutput, RenderInputs
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

SKIP_MARKER = b"+argocd:skip-file-rendering"
# What Argo CD puts into a source before it renders it.
BUILD_ENVIRONMENT_PREFIXES = b"$ARGOCD_", b"${ARGOCD_"
SOURCE_TYPES = HELM, KUSTOMIZE, DIRECTORY = ("Helm", "Kustomize", "Directory")
# Whether a pattern fits a path.
GlobMatcher = Callable[[str, str], bool]


def detect_source_type(tree: Tree, folder: str) -> str:
    """By which tool a folder is rendered."""
    here = tree.root / folder
    if (here / "Chart.yaml").is_file():
        return HELM
    return KUSTOMIZE if any((here / name).is_file() for name in documents.KUSTOMIZATION_NAMES) else DIRECTORY


def render_source(
    tree: Tree,
    inputs: RenderInputs,
    application: Resource,
    source_path: FieldPath,
    folder: str,
    ref_roots: Mapping[str, Path],
    config: Config,
    matches_glob: GlobMatcher,
) -> BuildOutput:
    """What a source applies; where not all of it can be had, a fatal gap.

    Args:
        tree: the source's repository, from which `inputs` is.
        application: the Application.
        source_path: of the source in it.
        folder: that it applies.
        ref_roots: the folders of repositories that lend files of values, by their `ref`.
    """
    part = get_field(application.value, source_path)
    folder = join_path("", folder)
    if folder.startswith("..") or (tree.root / folder).resolve() != (tree.root.resolve() / folder):
        return _build_failure(folder, f"`path` {folder} leads elsewhere: write the folder itself")
    if not (tree.root / folder).is_dir():
        return _build_failure(folder, f"`path` {folder} is no folder of the repository")
    if any(word in orjson.dumps(part) for word in BUILD_ENVIRONMENT_PREFIXES):
        return _build_failure(folder, "the build environment (`$ARGOCD_…`) is not supported")
    tool = detect_source_type(tree, folder)
    if tool == HELM:
        return _render_chart(tree, inputs, application, source_path, folder, ref_roots, config)
    if tool == KUSTOMIZE:
        from gatekeeper.render import kustomize

        if folder not in inputs.kustomizations:
            return _build_failure(folder, "its kustomization cannot be read")
        by = appliers.build_applied_folder(application, source_path, folder)
        target = kustomize.KustomizeTarget(folder, (), by if by.added_fields else None)
        return kustomize.build_target(tree, inputs.kustomizations, target, inputs.files_by_path, config)
    return _render_directory(tree, inputs, get_field(part, ("directory",)) or {}, folder, matches_glob)


def _build_failure(file: str, reason: str) -> BuildOutput:
    return [], [], [Gap(file, reason, is_fatal=True)]


def _render_chart(
    tree: Tree,
    inputs: RenderInputs,
    application: Resource,
    source_path: FieldPath,
    folder: str,
    ref_roots: Mapping[str, Path],
    config: Config,
) -> BuildOutput:
    from gatekeeper.render import helm

    use = chart_uses.build_chart_use(
        application, source_path, folder, lambda file: (tree.root / file).is_file(), ref_roots
    )
    bounds = [root.resolve() for root in (tree.root, *ref_roots.values())]
    for file in use.values_files:
        path = (tree.root / file).resolve()
        if not any(path.is_relative_to(bound) for bound in bounds):
            return _build_failure(folder, f"the file of values {file} lies outside of the repository")
    held = get_field(application.value, (*source_path, "helm")) or {}
    use = use._replace(include_crds=not held.get("skipCrds"))
    config = config._replace(kubernetes=str(held.get("kubeVersion") or config.kubernetes))
    return helm.build_chart(tree, use, inputs.files_by_path, config)


def _render_directory(
    tree: Tree, inputs: RenderInputs, directory_options: Mapping[str, Any], folder: str, matches_glob: GlobMatcher
) -> BuildOutput:
    """The files of a folder that end like manifests; those below it only if that is asked for."""
    found: BuildOutput = ([], [], [])
    for file in _list_manifest_files(tree, folder, directory_options, matches_glob):
        content = tree.read_file(file)
        if isinstance(content, Gap):
            found[2].append(content)
        elif file.endswith(".jsonnet"):
            found[2].append(Gap(file, "Jsonnet is not supported", is_fatal=True))
        elif SKIP_MARKER not in content:
            more, gap = _read_resources(inputs, file, content)
            found[0].extend(more)
            found[2].extend([gap] if gap else [])
    return found


def _list_manifest_files(
    tree: Tree, folder: str, directory_options: Mapping[str, Any], matches_glob: GlobMatcher
) -> Sequence[str]:
    start = f"{folder}/" if folder else ""
    listed = [file for file in tree.files if file.startswith(start)]
    if not directory_options.get("recurse"):
        listed = [file for file in listed if "/" not in file[len(start) :]]
    include, exclude = (str(directory_options.get(name) or "") for name in ("include", "exclude"))
    listed = [file for file in listed if file.endswith((".yaml", ".yml", ".json", ".jsonnet"))]
    listed = [file for file in listed if not (exclude and matches_glob(exclude, file[len(start) :]))]
    return [file for file in listed if not include or matches_glob(include, file[len(start) :])]


def _read_resources(inputs: RenderInputs, file: str, content: bytes) -> tuple[list[Resource], Gap | None]:
    source = inputs.files_by_path.get(file)
    if documents.detect_encryption(content):
        return [], Gap(file, "is encrypted, and nothing opens it for an Application", is_fatal=True)
    if source is None:
        found, failure = documents.parse(content)
        source = documents.ParsedFile(file, "documents", tuple(found)) if failure is None else None
    if source is None or source.error_location or source.role != "documents":
        return [], Gap(file, f"cannot be read: {source.reason if source else 'no YAML'}", is_fatal=True)
    return list(manifests.list_resources(source)), None
