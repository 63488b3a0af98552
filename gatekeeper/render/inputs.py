"""What a tree is rendered from: kustomizations, charts, plain files, and who applies which folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.config import Config
from gatekeeper.model import Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import appliers, build_units, kustomization_graph, manifests
from gatekeeper.render.helm import chart_uses
from gatekeeper.render.model import AppliedFolder, BuildUnit, ConfigMapData, KustomizationFile
from gatekeeper.workspace.tree import ParsedFile, Tree


class RenderInputs(NamedTuple):
    """What a tree is rendered from.

    Attributes:
        files_by_path: all parsed files, with those outside of the tree that its kustomizations build on.
        plain_files: the files that neither kustomize nor Helm builds.
        plain_resources: the resources of those, by file.
        applied_folders: what the controllers apply, as far as it is written in the files.
        build_units: what is built as one.
        unapplied_files: the plain files that no controller applies.
        is_load_restricted: whether Argo CD lets kustomize read files of the kustomization's own folder only.
    """

    tree: Tree
    config: Config
    kustomizations: Mapping[str, KustomizationFile]
    chart_folders: Sequence[str]
    files_by_path: Mapping[str, ParsedFile]
    plain_files: Sequence[ParsedFile]
    plain_resources: Mapping[str, list[Resource]]
    config_maps: ConfigMapData
    applied_folders: Sequence[AppliedFolder]
    build_units: Sequence[BuildUnit]
    unapplied_files: Sequence[str]
    is_load_restricted: bool = True


def collect_inputs(tree: Tree, parsed_files: Sequence[ParsedFile], config: Config) -> RenderInputs:
    """Collects what a tree is rendered from; nothing is rendered."""
    outside_files, kustomizations = kustomization_graph.parse_outside_files(tree, parsed_files)
    parsed_files = [*parsed_files, *outside_files]
    chart_folders = chart_uses.find_chart_folders(parsed_files)
    plain_files = _select_plain_files(parsed_files, kustomizations, chart_folders, config)
    plain_resources = {parsed.file: list(manifests.list_resources(parsed)) for parsed in plain_files}
    # What kustomizations build is known only later. Their files as they are written already show who applies what, and
    # so the order of the builds.
    written = [
        resource
        for parsed in parsed_files
        for resource in (plain_resources.get(parsed.file) or manifests.list_resources(parsed))
    ]
    config_maps = appliers.collect_config_maps(written)
    inputs = RenderInputs(
        tree=tree,
        config=config,
        kustomizations=kustomizations,
        chart_folders=chart_folders,
        files_by_path={parsed.file: parsed for parsed in parsed_files},
        plain_files=plain_files,
        plain_resources=plain_resources,
        config_maps=config_maps,
        applied_folders=(),
        build_units=(),
        unapplied_files=(),
        is_load_restricted=not any(
            b"LoadRestrictionsNone" in document.json for parsed in parsed_files for document in parsed.documents
        ),
    )
    return add_appliers(inputs, written)


def add_appliers(inputs: RenderInputs, resources: Sequence[Resource]) -> RenderInputs:
    """The same inputs, with build units for the folders that the Kustomizations and Applications among these apply."""
    applied = [
        *inputs.applied_folders,
        *appliers.find_applied_folders(resources, inputs.tree, inputs.config_maps),
    ]
    plain_files = [file for file, plain_resources in inputs.plain_resources.items() if plain_resources]
    units, unapplied = build_units.find_units(inputs.kustomizations, plain_files, applied)
    return inputs._replace(applied_folders=applied, build_units=units, unapplied_files=unapplied)


def _select_plain_files(
    parsed_files: Sequence[ParsedFile],
    kustomizations: Mapping[str, KustomizationFile],
    chart_folders: Sequence[str],
    config: Config,
) -> list[ParsedFile]:
    """The files that neither kustomize nor Helm builds, and that are not policies or test cases of policies."""
    used = {file for part in kustomizations.values() for file in part.files} | {
        part.parsed_file.file for part in kustomizations.values()
    }
    chart_parts = [f"{folder}/{part}/".lstrip("/") for folder in chart_folders for part in ("templates", "charts")]
    policy_folders = [f"{path.strip('/')}/" for path in config.policies if path.strip("./")]
    others = (*chart_parts, *policy_folders)
    return [parsed for parsed in parsed_files if parsed.file not in used and not parsed.file.startswith(others)]
