"""What one source of an Argo CD Application applies: a chart, a kustomization, or the files of a folder.

Source: argo-cd `docs/user-guide/{tool_detection,directory,helm,kustomize}.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Gap, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import appliers, manifests
from gatekeeper.render.appliers import DIRECTORY, HELM, KUSTOMIZE
from gatekeeper.render.builder import Builder
from gatekeeper.render.helm import chart_uses
from gatekeeper.render.inputs import RenderInputs
from gatekeeper.render.model import BuildOutput, BuildUnit, join_path
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

SKIP_MARKER = b"+argocd:skip-file-rendering"
# What Argo CD sets in a source before it renders it.
BUILD_ENVIRONMENT_PREFIXES = b"$ARGOCD_", b"${ARGOCD_"
# Whether a pattern, which comes first, matches a path.
GlobMatcher = Callable[[str, str], bool]


class SourceTarget(NamedTuple):
    """One source of an Application, to be rendered.

    Attributes:
        application: the Application.
        field_path: of the source in it.
        folder: the folder of the source's repository that it applies.
        ref_roots: the folders of repositories that it takes values files from, by their `ref`.
    """

    application: Resource
    field_path: FieldPath
    folder: str
    ref_roots: Mapping[str, Path]

    def get_option(self, name: str) -> Any:
        """The options for one tool: `helm`, `kustomize` or `directory`; empty if there are none."""
        return get_field(self.application.value, (*self.field_path, name)) or {}


def render_source(builder: Builder, source: SourceTarget, matches_glob: GlobMatcher) -> BuildOutput:
    """Renders a source; where not all of it can be rendered, there is a fatal gap.

    Args:
        builder: builds from the source's repository.
    """
    inputs = builder.inputs
    tree = inputs.tree
    folder = join_path("", source.folder)
    real = None if folder.startswith("..") else tree.find_real_path(folder)
    if real is None:
        return _build_failure(folder, f"`path` {folder} leads out of the repository")
    if not tree.is_folder(folder):
        return _build_failure(folder, f"`path` {folder} is not a folder of the repository")
    fields = get_field(source.application.value, source.field_path)
    if any(word in orjson.dumps(fields) for word in BUILD_ENVIRONMENT_PREFIXES):
        return _build_failure(folder, "the build environment (`$ARGOCD_…`) is not supported")
    source_type = appliers.detect_source_type(tree, folder)
    if source_type == DIRECTORY and (tree.root / folder).is_symlink():
        reason = f"`path` {folder} is a symbolic link to a folder of manifests, of which Argo CD reads none"
        return _build_failure(folder, f"{reason}: name the folder itself")
    source, folder = source._replace(folder=real), real
    if source_type == HELM:
        return _render_chart(builder, source)
    if source_type == KUSTOMIZE:
        if folder not in inputs.kustomizations:
            return _build_failure(folder, "its kustomization cannot be read")
        applied = appliers.build_applied_folder(source.application, source.field_path, folder)
        return builder.build_target(BuildUnit(folder), applied)
    return _render_directory(inputs, source.get_option("directory"), folder, matches_glob)


def _build_failure(file: str, reason: str) -> BuildOutput:
    return BuildOutput([], [], [Gap(file, reason, is_fatal=True)])


def _render_chart(builder: Builder, source: SourceTarget) -> BuildOutput:
    tree, config = builder.inputs.tree, builder.inputs.config
    use = chart_uses.build_chart_use(
        source.application,
        source.field_path,
        source.folder,
        tree.is_file,
        source.ref_roots,
    )
    bounds = [root.resolve() for root in (tree.root, *source.ref_roots.values())]
    for file in use.values_files:
        path = (tree.root / file).resolve()
        if not any(path.is_relative_to(bound) for bound in bounds):
            return _build_failure(source.folder, f"the values file {file} is outside the repository")
    options = source.get_option("helm")
    use = use._replace(include_crds=not options.get("skipCrds"))
    return builder.build_chart(use, config._replace(kubernetes=str(options.get("kubeVersion") or config.kubernetes)))


def _render_directory(
    inputs: RenderInputs, directory_options: Mapping[str, Any], folder: str, matches_glob: GlobMatcher
) -> BuildOutput:
    """The manifest files of a folder; those of its subfolders only where `recurse` is set."""
    output = BuildOutput([], [], [])
    for file in _list_manifest_files(inputs.tree, folder, directory_options, matches_glob):
        content = inputs.tree.read_file(file)
        if isinstance(content, Gap):
            output.gaps.append(content)
        elif file.endswith(".jsonnet"):
            output.gaps.append(Gap(file, "Jsonnet is not supported", is_fatal=True))
        elif SKIP_MARKER not in content:
            resources, gap = _read_resources(inputs, file, content)
            output.resources.extend(resources)
            output.gaps.extend([gap] if gap else [])
    return output


def _list_manifest_files(
    tree: Tree, folder: str, directory_options: Mapping[str, Any], matches_glob: GlobMatcher
) -> Sequence[str]:
    start = f"{folder}/" if folder else ""
    files = [file for file in tree.files if file.startswith(start)]
    if not directory_options.get("recurse"):
        files = [file for file in files if "/" not in file[len(start) :]]
    include, exclude = (str(directory_options.get(name) or "") for name in ("include", "exclude"))
    files = [file for file in files if file.endswith((".yaml", ".yml", ".json", ".jsonnet"))]
    files = [file for file in files if not (exclude and matches_glob(exclude, file[len(start) :]))]
    return [file for file in files if not include or matches_glob(include, file[len(start) :])]


def _read_resources(inputs: RenderInputs, file: str, content: bytes) -> tuple[list[Resource], Gap | None]:
    parsed = inputs.files_by_path.get(file)
    if documents.detect_encryption(content):
        return [], Gap(file, "is encrypted, and Applications are not decrypted", is_fatal=True)
    if parsed is None:
        parsed_documents, failure = documents.parse(content)
        parsed = ParsedFile(file, "documents", tuple(parsed_documents)) if failure is None else None
    if parsed is None or parsed.error_location or parsed.role != "documents":
        return [], Gap(file, f"cannot be read: {parsed.reason if parsed else 'no YAML'}", is_fatal=True)
    return list(manifests.list_resources(parsed)), None
