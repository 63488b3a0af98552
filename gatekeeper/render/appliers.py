"""What the repository's own controllers apply: folders that Flux Kustomizations and Argo CD Applications name, and how.

Sources: kustomize.toolkit.fluxcd.io/v1 `Kustomization.spec`; argoproj.io/v1alpha1 `Application.spec.source.kustomize`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from gatekeeper.model import FieldPath, Resource, get_field
from gatekeeper.render.manifests import build_ref
from gatekeeper.render.origin import FileOrigin, join_path
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
ARGO_FIELDS = ("namespace", "namePrefix", "nameSuffix", "patches", "components", "replicas", "commonAnnotations")

# In place of a file.
CLUSTER_FILE = "(in the cluster)"
ConfigMapData = Mapping[tuple[str, str], Mapping[str, str]]


class AppliedFolder(NamedTuple):
    """A folder that a controller applies.

    Attributes:
        added_fields: what it adds to the folder's kustomization, as JSON; empty where it adds nothing.
        variables: what it sets for `${VAR}`; None where it substitutes nothing.
        applier: the Flux Kustomization or Argo CD Application.
        fields_path: where in it the fields stand.
    """

    folder: str
    added_fields: bytes
    variables: Mapping[str, str] | None
    applier: Resource
    fields_path: FieldPath

    @property
    def components(self) -> list[str]:
        """The components that the controller adds, relative to the folder."""
        listed = orjson.loads(self.added_fields).get("components") if self.added_fields else None
        return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def find_applied_folders(resources: Iterable[Resource], tree: Tree, config_maps: ConfigMapData) -> list[AppliedFolder]:
    """Everything that some resources apply from this repository.

    Args:
        config_maps: the data of ConfigMaps, by namespace and name, for `substituteFrom`.
    """
    found: list[AppliedFolder] = []
    for resource in resources:
        if resource.ref.kind == "Kustomization" and resource.ref.api_version.startswith(FLUX_GROUP):
            found.extend(_find_flux_folders(resource, tree, config_maps))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            found.extend(_find_argocd_folders(resource, tree))
    return found


def build_cluster_resource(value: dict[str, Any]) -> Resource:
    """A Flux Kustomization or Argo CD Application as it is in a cluster, and in no file."""
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
    for where, part in list_sources(resource.value.get("spec")):
        folder = _resolve_folder(tree, get_field(part, ("path",)), resource.origin.file)
        if folder is not None:
            yield build_applied_folder(resource, where, folder)


def build_applied_folder(application: Resource, source_path: FieldPath, folder: str) -> AppliedFolder:
    """What a source of an Application applies.

    Args:
        source_path: of the source.
    """
    held = get_field(application.value, (*source_path, "kustomize"))
    fields = _convert_argocd_fields(held) if isinstance(held, dict) else {}
    return AppliedFolder(folder, _encode_fields(fields), None, application, (*source_path, "kustomize"))


def list_sources(spec: Any) -> Iterator[tuple[FieldPath, Any]]:
    """Each source of an Application, and where it stands."""
    if isinstance(get_field(spec, ("source",)), dict):
        yield ("spec", "source"), spec["source"]
    several = get_field(spec, ("sources",))
    for number, part in enumerate(several if isinstance(several, list) else ()):
        yield ("spec", "sources", number), part


def _convert_argocd_fields(kustomize_options: dict[str, Any]) -> dict[str, Any]:
    fields = {name: kustomize_options[name] for name in ARGO_FIELDS if kustomize_options.get(name)}
    if kustomize_options.get("commonLabels"):
        selectors = not kustomize_options.get("labelWithoutSelector")
        fields["labels"] = [{"pairs": kustomize_options["commonLabels"], "includeSelectors": selectors}]
    if kustomize_options.get("images"):
        fields["images"] = [_parse_image(str(text)) for text in kustomize_options["images"]]
    return fields


def _parse_image(text: str) -> dict[str, str]:
    """Argo CD writes images as `kustomize edit set image` takes them: `[name=]new-name[:tag][@digest]`."""
    name, _, wanted = text.rpartition("=")
    rest, _, digest = wanted.partition("@")
    before, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        before, tag = rest, ""
    found = {"name": name or before, "newName": before, "newTag": tag, "digest": digest}
    return {key: value for key, value in found.items() if value}


def _encode_fields(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields) if fields else b""


def _resolve_folder(tree: Tree, path: Any, file: str) -> str | None:
    """The folder of the repository that a path means, or None where it is none.

    It counts from the root of a source; an artifact (OCIRepository, Bucket) may be packed from any folder around the
    resource's own file, so those are tried from the root down.
    """
    if not isinstance(path, str) or "${" in path:
        return None
    wanted = join_path("", path.lstrip("/"))
    above = file.split("/")[:-1]
    for depth in range(len(above) + 1):
        folder = join_path("/".join(above[:depth]), wanted)
        if not folder.startswith("..") and (tree.root / folder).is_dir():
            return folder
    return None


def _collect_variables(spec: dict[str, Any], namespace: str, config_maps: ConfigMapData) -> Mapping[str, str] | None:
    post = spec.get("postBuild")
    if not isinstance(post, dict):
        return None
    variables: dict[str, str] = {}
    listed = post.get("substituteFrom")
    for entry in listed if isinstance(listed, list) else ():
        name = get_field(entry, ("name",))
        if get_field(entry, ("kind",)) == "ConfigMap" and isinstance(name, str):
            variables.update(config_maps.get((namespace, name)) or config_maps.get(("", name)) or {})
    inline = post.get("substitute")
    if isinstance(inline, dict):
        variables.update({str(name): str(value).replace("\n", "") for name, value in inline.items()})
    return variables


def collect_config_maps(resources: Iterable[Resource]) -> dict[tuple[str, str], Mapping[str, str]]:
    """The data of all ConfigMaps, by namespace and name."""
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for resource in resources:
        if resource.ref.kind == "ConfigMap":
            data = resource.value.get("data")
            if isinstance(data, dict):
                texts = {name: text for name, text in data.items() if isinstance(text, str)}
                found[(resource.ref.namespace, resource.ref.name)] = texts
    return found
