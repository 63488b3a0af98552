"""Folders that Flux Kustomizations and Argo CD Applications apply, and the fields that they add.

Sources: kustomize.toolkit.fluxcd.io/v1 `Kustomization.spec`; argoproj.io/v1alpha1 `Application.spec.source.kustomize`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from gatekeeper.model import CLUSTER_FILE, FieldPath, Resource, build_ref, get_field
from gatekeeper.render.model import AppliedFolder, ConfigMapData, FileOrigin, join_path
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

FLUX_GROUP = "kustomize.toolkit.fluxcd.io/"
# Fields of a Flux Kustomization that kustomize knows by the same or by another name.
FLUX_FIELDS = {
    "targetNamespace": "namespace",
    "namePrefix": "namePrefix",
    "nameSuffix": "nameSuffix",
    "patches": "patches",
    "patchesStrategicMerge": "patchesStrategicMerge",
    "patchesJson6902": "patchesJson6902",
    "images": "images",
    "components": "components",
}
HELM, KUSTOMIZE, DIRECTORY = "Helm", "Kustomize", "Directory"
ARGO_FIELDS = ("namespace", "namePrefix", "nameSuffix", "patches", "components", "replicas", "commonAnnotations")


def find_applied_folders(resources: Iterable[Resource], tree: Tree, config_maps: ConfigMapData) -> list[AppliedFolder]:
    """The folders of this repository that the Kustomizations and Applications among some resources apply.

    Args:
        config_maps: the data of ConfigMaps by namespace and name, for `substituteFrom`.
    """
    folders: list[AppliedFolder] = []
    for resource in resources:
        if resource.ref.kind == "Kustomization" and resource.ref.api_version.startswith(FLUX_GROUP):
            folders.extend(_find_flux_folders(resource, tree, config_maps))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            folders.extend(_find_argocd_folders(resource, tree))
    return folders


def build_cluster_resource(value: dict[str, Any]) -> Resource:
    """A resource from an object that is in a cluster, and in no file."""
    text = orjson.dumps(value)
    parsed, _ = documents.parse(text)
    return Resource(build_ref(value), text, FileOrigin(CLUSTER_FILE, parsed[0]))


def _find_flux_folders(resource: Resource, tree: Tree, config_maps: ConfigMapData) -> Iterator[AppliedFolder]:
    spec = resource.value.get("spec")
    path = spec.get("path", "./") if isinstance(spec, dict) else None
    folder = _resolve_folder(tree, path, resource.origin.file)
    if isinstance(spec, dict) and folder is not None:
        fields = {theirs: spec[ours] for ours, theirs in FLUX_FIELDS.items() if spec.get(ours)}
        variables = _collect_variables(spec, resource.ref.namespace, config_maps)
        yield AppliedFolder(folder, _encode_fields(fields), variables, resource, ("spec",))


def _find_argocd_folders(resource: Resource, tree: Tree) -> Iterator[AppliedFolder]:
    for field_path, source in list_sources(resource.value.get("spec")):
        folder = _resolve_folder(tree, get_field(source, ("path",)), resource.origin.file)
        if folder is not None:
            yield build_applied_folder(resource, field_path, folder)


def detect_source_type(tree: Tree, folder: str) -> str:
    """The tool with which Argo CD renders a folder."""
    if tree.is_file(f"{folder}/Chart.yaml"):
        return HELM
    return KUSTOMIZE if any(tree.is_file(f"{folder}/{name}") for name in documents.KUSTOMIZATION_NAMES) else DIRECTORY


def build_applied_folder(application: Resource, source_path: FieldPath, folder: str) -> AppliedFolder:
    """The folder that one source of an Application applies.

    Args:
        source_path: the path of the source in the Application.
    """
    options = get_field(application.value, (*source_path, "kustomize"))
    fields = _convert_argocd_fields(options) if isinstance(options, dict) else {}
    return AppliedFolder(folder, _encode_fields(fields), None, application, (*source_path, "kustomize"))


def list_sources(spec: Any) -> Iterator[tuple[FieldPath, Any]]:
    """Each source of an Application, with its path in it."""
    if isinstance(get_field(spec, ("source",)), dict):
        yield ("spec", "source"), spec["source"]
    sources = get_field(spec, ("sources",))
    for number, source in enumerate(sources if isinstance(sources, list) else ()):
        yield ("spec", "sources", number), source


def _convert_argocd_fields(kustomize_options: dict[str, Any]) -> dict[str, Any]:
    fields = {name: kustomize_options[name] for name in ARGO_FIELDS if kustomize_options.get(name)}
    if kustomize_options.get("commonLabels"):
        selectors = not kustomize_options.get("labelWithoutSelector")
        fields["labels"] = [{"pairs": kustomize_options["commonLabels"], "includeSelectors": selectors}]
    if kustomize_options.get("images"):
        fields["images"] = [_parse_image(str(text)) for text in kustomize_options["images"]]
    return fields


def _parse_image(text: str) -> dict[str, str]:
    """Parses an image in the form of `kustomize edit set image`: `[name=]new-name[:tag][@digest]`."""
    name, _, image = text.rpartition("=")
    tagged_name, _, digest = image.partition("@")
    new_name, colon, tag = tagged_name.rpartition(":")
    if not colon or "/" in tag:
        new_name, tag = tagged_name, ""
    fields = {"name": name or new_name, "newName": new_name, "newTag": tag, "digest": digest}
    return {key: value for key, value in fields.items() if value}


def _encode_fields(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields) if fields else b""


def _resolve_folder(tree: Tree, path: Any, file: str) -> str | None:
    """The folder of the repository that `path` leads to; None if there is no such folder.

    The path starts at the root of a source. An artifact (OCIRepository, Bucket) can be packed from any folder above the
    resource's own file, so those are tried from the root down.
    """
    if not isinstance(path, str) or "${" in path:
        return None
    relative = join_path("", path.lstrip("/"))
    parents = file.split("/")[:-1]
    for depth in range(len(parents) + 1):
        folder = join_path("/".join(parents[:depth]), relative)
        if not folder.startswith("..") and tree.is_folder(folder):
            return tree.find_real_path(folder)
    return None


def _collect_variables(spec: dict[str, Any], namespace: str, config_maps: ConfigMapData) -> Mapping[str, str] | None:
    post_build = spec.get("postBuild")
    if not isinstance(post_build, dict):
        return None
    variables: dict[str, str] = {}
    sources = post_build.get("substituteFrom")
    for entry in sources if isinstance(sources, list) else ():
        name = get_field(entry, ("name",))
        if get_field(entry, ("kind",)) == "ConfigMap" and isinstance(name, str):
            held = config_maps.get((namespace, name)) or config_maps.get(("", name)) or {}
            variables.update({key: text.replace("\n", "") for key, text in held.items()})
    inline = post_build.get("substitute")
    if isinstance(inline, dict):
        variables.update({str(name): str(value).replace("\n", "") for name, value in inline.items()})
    return variables


def collect_config_maps(resources: Iterable[Resource]) -> dict[tuple[str, str], Mapping[str, str]]:
    """The data of all ConfigMaps, by namespace and name."""
    config_maps: dict[tuple[str, str], Mapping[str, str]] = {}
    for resource in resources:
        if resource.ref.kind == "ConfigMap":
            data = resource.value.get("data")
            if isinstance(data, dict):
                texts = {name: text for name, text in data.items() if isinstance(text, str)}
                config_maps[(resource.ref.namespace, resource.ref.name)] = texts
    return config_maps


def find_common_metadata(applied: AppliedFolder) -> Any:
    """The labels and annotations that a Flux Kustomization adds to everything; None if it adds none."""
    if applied.applier.ref.kind != "Kustomization":
        return None
    return get_field(applied.applier.value, ("spec", "commonMetadata"))


def find_target_namespaces(applied_folders: Iterable[AppliedFolder]) -> list[str]:
    """The namespaces that appliers apply objects to which name none; empty where all of them use `default`."""
    named = [
        str(get_field(entry.applier.value, ("spec", "destination", "namespace")) or "default")
        if entry.applier.ref.kind == "Application"
        else "default"
        for entry in applied_folders
    ]
    return [] if set(named) <= {"default"} else list(dict.fromkeys(named))
