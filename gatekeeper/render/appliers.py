"""What the repository's own controllers apply: folders that Flux Kustomizations and Argo CD Applications name, and how.

Sources: kustomize.toolkit.fluxcd.io/v1 `Kustomization.spec`; argoproj.io/v1alpha1 `Application.spec.source.kustomize`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from gatekeeper.model import FieldPath, Resource, at
from gatekeeper.render.manifests import ref_of
from gatekeeper.render.origin import Plain, joined
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

FLUX = "kustomize.toolkit.fluxcd.io/"
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
IN_CLUSTER = "(in the cluster)"
Configs = Mapping[tuple[str, str], Mapping[str, str]]


class Applied(NamedTuple):
    """A folder that a controller applies.

    Attributes:
        fields: what it adds to the folder's kustomization, as JSON; empty where it adds nothing.
        variables: what it sets for `${VAR}`; None where it substitutes nothing.
        resource: the Flux Kustomization or Argo CD Application.
        prefix: where in it the fields stand.
    """

    folder: str
    fields: bytes
    variables: Mapping[str, str] | None
    resource: Resource
    prefix: FieldPath

    @property
    def components(self) -> list[str]:
        """The components that the controller adds, relative to the folder."""
        listed = orjson.loads(self.fields).get("components") if self.fields else None
        return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def of(resources: Iterable[Resource], tree: Tree, configs: Configs) -> list[Applied]:
    """Everything that some resources apply from this repository.

    Args:
        configs: the data of ConfigMaps, by namespace and name, for `substituteFrom`.
    """
    found: list[Applied] = []
    for resource in resources:
        if resource.ref.kind == "Kustomization" and resource.ref.api_version.startswith(FLUX):
            found.extend(_by_flux(resource, tree, configs))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            found.extend(_by_argo(resource, tree))
    return found


def in_cluster(value: dict[str, Any]) -> Resource:
    """A Flux Kustomization or Argo CD Application as it is in a cluster, and in no file."""
    text = orjson.dumps(value)
    parsed, _ = documents.parse(text)
    return Resource(ref_of(value), text, Plain(IN_CLUSTER, parsed[0]))


def _by_flux(resource: Resource, tree: Tree, configs: Configs) -> Iterator[Applied]:
    spec = resource.value.get("spec")
    path = spec.get("path", "./") if isinstance(spec, dict) else None
    folder = _folder(tree, path, resource.origin.file)
    if isinstance(spec, dict) and folder is not None:
        fields = {theirs: spec[ours] for ours, theirs in FLUX_FIELDS.items() if spec.get(ours)}
        variables = _variables(spec, resource.ref.namespace, configs)
        yield Applied(folder, _json(fields), variables, resource, ("spec",))


def _by_argo(resource: Resource, tree: Tree) -> Iterator[Applied]:
    for where, part in sources_of(resource.value.get("spec")):
        folder = _folder(tree, at(part, ("path",)), resource.origin.file)
        if folder is not None:
            yield of_source(resource, where, folder)


def of_source(resource: Resource, where: FieldPath, folder: str) -> Applied:
    """What a source of an Application applies.

    Args:
        where: of the source.
    """
    held = at(resource.value, (*where, "kustomize"))
    fields = _argo_fields(held) if isinstance(held, dict) else {}
    return Applied(folder, _json(fields), None, resource, (*where, "kustomize"))


def sources_of(spec: Any) -> Iterator[tuple[FieldPath, Any]]:
    """Each source of an Application, and where it stands."""
    if isinstance(at(spec, ("source",)), dict):
        yield ("spec", "source"), spec["source"]
    several = at(spec, ("sources",))
    for number, part in enumerate(several if isinstance(several, list) else ()):
        yield ("spec", "sources", number), part


def _argo_fields(held: dict[str, Any]) -> dict[str, Any]:
    fields = {name: held[name] for name in ARGO_FIELDS if held.get(name)}
    if held.get("commonLabels"):
        selectors = not held.get("labelWithoutSelector")
        fields["labels"] = [{"pairs": held["commonLabels"], "includeSelectors": selectors}]
    if held.get("images"):
        fields["images"] = [_image(str(text)) for text in held["images"]]
    return fields


def _image(text: str) -> dict[str, str]:
    """Argo CD writes images as `kustomize edit set image` takes them: `[name=]new-name[:tag][@digest]`."""
    name, _, wanted = text.rpartition("=")
    rest, _, digest = wanted.partition("@")
    before, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        before, tag = rest, ""
    found = {"name": name or before, "newName": before, "newTag": tag, "digest": digest}
    return {key: value for key, value in found.items() if value}


def _json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields) if fields else b""


def _folder(tree: Tree, path: Any, file: str) -> str | None:
    """The folder of the repository that a path means, or None where it is none.

    It counts from the root of a source; an artifact (OCIRepository, Bucket) may be packed from any folder around the
    resource's own file, so those are tried from the root down.
    """
    if not isinstance(path, str) or "${" in path:
        return None
    wanted = joined("", path.lstrip("/"))
    above = file.split("/")[:-1]
    for depth in range(len(above) + 1):
        folder = joined("/".join(above[:depth]), wanted)
        if not folder.startswith("..") and (tree.root / folder).is_dir():
            return folder
    return None


def _variables(spec: dict[str, Any], namespace: str, configs: Configs) -> Mapping[str, str] | None:
    post = spec.get("postBuild")
    if not isinstance(post, dict):
        return None
    variables: dict[str, str] = {}
    listed = post.get("substituteFrom")
    for entry in listed if isinstance(listed, list) else ():
        name = at(entry, ("name",))
        if at(entry, ("kind",)) == "ConfigMap" and isinstance(name, str):
            variables.update(configs.get((namespace, name)) or configs.get(("", name)) or {})
    inline = post.get("substitute")
    if isinstance(inline, dict):
        variables.update({str(name): str(value).replace("\n", "") for name, value in inline.items()})
    return variables


def configs(resources: Iterable[Resource]) -> dict[tuple[str, str], Mapping[str, str]]:
    """The data of all ConfigMaps, by namespace and name."""
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for resource in resources:
        if resource.ref.kind == "ConfigMap":
            data = resource.value.get("data")
            if isinstance(data, dict):
                texts = {name: text for name, text in data.items() if isinstance(text, str)}
                found[(resource.ref.namespace, resource.ref.name)] = texts
    return found
