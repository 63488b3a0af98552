"""The origin of each field of a resource: the file, line and column that its author can edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Location, ParsedDocument, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.model import SecondRendering, join_path
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

# Keys that identify the items of a Kubernetes list (the merge keys of strategic merge patches).
MERGE_KEYS = ("name", "containerPort", "mountPath", "devicePath", "port", "key", "ip", "topologyKey")


class TransformStep(NamedTuple):
    """A kustomization that changed a resource, and the transformer of kustomize that did it."""

    file: str
    transformer: str


class ApplierFields(NamedTuple):
    """The fields (JSON) that a Flux Kustomization or Argo CD Application adds, and their path in it."""

    applier: Resource
    fields_path: FieldPath
    added_fields: bytes

    def find_location(self, transformer: str, path: FieldPath, kind: str, value: Any) -> Location | None:
        """The line of the applier that set a field; None if it did not."""
        added_fields = orjson.loads(self.added_fields)
        if not transformer.startswith("Patch"):
            target = _find_transformer_field(transformer, added_fields, path, get_field(value, path))
            renamed = ("targetNamespace",) if target == ("namespace",) and self.fields_path == ("spec",) else target
            return self.applier.origin.find_location((*self.fields_path, *renamed)) if renamed else None
        for where, entry in reversed(list(list_patches(added_fields))):
            inner, failure = documents.parse(entry.encode()) if isinstance(entry, str) else ([], None)
            for document in inner if failure is None else ():
                patch_location = locate_in_patch(document, path, kind, value)
                if patch_location:
                    file, line, _ = self.applier.origin.find_location((*self.fields_path, *where))
                    return Location(file, line and line + patch_location[0])
        return None


class KustomizeOrigin(NamedTuple):
    """The origin of a resource that kustomize built, from its origin and transformer annotations.

    Attributes:
        number: the place of the resource in the output, from 0.
        second_rendering: the output of another build; None if the build inflates no chart.
    """

    file: str
    kind: str
    name: str
    rendered_json: bytes
    steps: tuple[TransformStep, ...]
    tree: Tree
    files_by_path: Mapping[str, ParsedFile]
    applier_fields: ApplierFields | None = None
    number: int = 0
    second_rendering: SecondRendering | None = None

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.protocols.Origin`: the last kustomization that set the field, or else its own file."""
        value = orjson.loads(self.rendered_json)
        if get_field(value, path) is not None:
            for step in reversed(self.steps):
                location = self._locate_in_step(step, path, value)
                if location:
                    return location
        return self._locate_in_file(path, value, key)

    def _locate_in_file(self, path: FieldPath, value: Any, key: bool) -> Location:
        source = self.files_by_path.get(self.file)
        if source is None:
            return Location(self.file)
        if is_kustomization_file(self.file):
            return _locate_generator(source, self.name, path)
        for document, source_value in list_objects(source):
            if source_value.get("kind") == self.kind and self.name.find(str(get_name(source_value))) >= 0:
                _, line, column = document.locate(translate_path(path, value, source_value), key)
                return Location(self.file, line, column)
        return Location(self.file)

    def _locate_in_step(self, step: TransformStep, path: FieldPath, value: Any) -> Location | None:
        if not step.file:
            return (
                self.applier_fields.find_location(step.transformer, path, self.kind, value)
                if self.applier_fields
                else None
            )
        source = self.files_by_path.get(step.file)
        if source is None or not source.documents:
            return None
        kustomization = documents.to_value(source.documents[0])
        if not isinstance(kustomization, dict):
            return None
        if step.transformer.startswith("Patch"):
            return next(self._locate_in_patches(source, kustomization, path, value), None)
        target = _find_transformer_field(step.transformer, kustomization, path, get_field(value, path))
        if target is None:
            return None
        depth, line, column = source.documents[0].locate(target)
        return Location(step.file, line, column) if depth == len(target) else None

    def _locate_in_patches(
        self, parsed_file: ParsedFile, kustomization: dict[str, Any], path: FieldPath, value: Any
    ) -> Iterator[Location]:
        """Locations in patches of this kustomization that set the field to the rendered value."""
        for where, entry in reversed(list(list_patches(kustomization))):
            if isinstance(entry, str) and "\n" not in entry:
                file = self.tree.find_real_path(join_path(parsed_file.folder, entry)) or ""
                patch = self.files_by_path.get(file)
                for document in patch.documents if patch else ():
                    patch_location = locate_in_patch(document, path, self.kind, value)
                    if patch_location:
                        yield Location(file, *patch_location)
            elif isinstance(entry, str):
                inner, failure = documents.parse(entry.encode())
                for document in inner if failure is None else ():
                    if patch_location := locate_in_patch(document, path, self.kind, value):
                        _, line, _ = parsed_file.documents[0].locate(where)
                        yield Location(parsed_file.file, line + patch_location[0])


def locate_in_patch(document: ParsedDocument, path: FieldPath, kind: str, value: Any) -> tuple[int, int] | None:
    """Line and column in a patch that set a field of an object to the rendered value."""
    patch = documents.to_value(document)
    if isinstance(patch, list):
        return _locate_operation(document, patch, path, value)
    if not isinstance(patch, dict) or patch.get("kind", kind) != kind:
        return None
    there = translate_path(path, value, patch)
    depth, line, column = document.locate(there)
    return (line, column) if depth == len(path) and get_field(patch, there) == get_field(value, path) else None


def translate_path(path: FieldPath, rendered: Any, source: Any) -> FieldPath:
    """The path of the same field in another version of an object, whose lists may have another order."""
    out: FieldPath = ()
    for step in path:
        item = get_field(rendered, (step,))
        if isinstance(step, int) and isinstance(source, list) and isinstance(item, dict):
            step = _find_same_item(item, source, step)
        out = (*out, step)
        rendered, source = item, get_field(source, (step,))
    return out


def _find_same_item(item: dict[str, Any], items: list[Any], index: int) -> int:
    for key in MERGE_KEYS:
        if key in item:
            same = [
                number for number, other in enumerate(items) if isinstance(other, dict) and other.get(key) == item[key]
            ]
            return same[0] if same else len(items)
    return index


def list_objects(parsed_file: ParsedFile) -> Iterator[tuple[ParsedDocument, dict[str, Any]]]:
    """The Kubernetes objects of a file."""
    for document in parsed_file.documents:
        value = documents.to_value(document)
        if documents.is_resource(value):
            yield document, value


def get_name(value: dict[str, Any]) -> str:
    """`metadata.name`, or None."""
    name = get_field(value, ("metadata", "name"))
    return name if isinstance(name, str) else ""


def is_kustomization_file(file: str) -> bool:
    """Whether the name of a file is that of a kustomization."""
    return file.rpartition("/")[2] in documents.KUSTOMIZATION_NAMES


def list_patches(kustomization: dict[str, Any]) -> Iterator[tuple[FieldPath, Any]]:
    """Every patch of a kustomization: its path, and its text or the name of its file."""
    for word in ("patchesStrategicMerge", "patches", "patchesJson6902"):
        entries = kustomization.get(word)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                for key in ("path", "patch"):
                    if key in entry:
                        yield (word, index, key), entry[key]
            else:
                yield (word, index), entry


def _locate_operation(
    document: ParsedDocument, operations: list[Any], path: FieldPath, rendered: Any
) -> tuple[int, int] | None:
    """The JSON 6902 operation that sets a field or a parent of it."""
    for index in reversed(range(len(operations))):
        pointer = operations[index].get("path") if isinstance(operations[index], dict) else None
        if not isinstance(pointer, str) or operations[index].get("op") not in ("add", "replace"):
            continue
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.strip("/").split("/")]
        target = path[: len(steps)]
        # `-` appends: the item is the one with the value of the operation.
        if steps[-1] == "-" and len(target) == len(steps) and isinstance(target[-1], int):
            is_same = get_field(rendered, target) == operations[index].get("value")
            steps[-1] = str(target[-1]) if is_same else "-"
        if [str(step) for step in target] == steps:
            _, line, column = document.locate((index, "value", *path[len(steps) :]))
            return line, column
    return None


def _find_transformer_field(
    transformer: str, kustomization: dict[str, Any], path: FieldPath, value: Any
) -> FieldPath | None:
    """The kustomization's own field that a built-in transformer took the value from."""
    if transformer == "NamespaceTransformer" and path[-1:] == ("namespace",):
        return ("namespace",)
    if transformer == "ImageTagTransformer" and path[-1:] == ("image",):
        return _find_image_field(kustomization, str(value))
    if transformer == "ReplicaCountTransformer" and path[-1:] == ("replicas",):
        counts = [index for index, entry in enumerate(kustomization.get("replicas", ())) if entry.get("count") == value]
        return ("replicas", counts[0], "count") if counts else None
    if transformer in ("PrefixTransformer", "SuffixTransformer") and path[-1:] == ("name",):
        return ("namePrefix",) if transformer.startswith("Prefix") else ("nameSuffix",)
    if transformer in ("LabelTransformer", "AnnotationsTransformer"):
        for candidate in (("commonLabels",), ("commonAnnotations",), *(("labels", n, "pairs") for n in range(9))):
            if get_field(kustomization, (*candidate, *path[-1:])) == value:
                return (*candidate, *path[-1:])
    return None


def _find_image_field(kustomization: dict[str, Any], image: str) -> FieldPath | None:
    for index, entry in enumerate(kustomization.get("images", ())):
        name = entry.get("newName", entry.get("name", ""))
        if isinstance(name, str) and name and image.startswith(name):
            for key in ("newTag", "digest", "newName"):
                if key in entry and str(entry[key]) in image:
                    return ("images", index, key)
    return None


def _locate_generator(parsed_file: ParsedFile, name: str, path: FieldPath) -> Location:
    """What generated a ConfigMap or Secret with a hash in its name: the entry of a key, or the generator."""
    kustomization = documents.to_value(parsed_file.documents[0]) if parsed_file.documents else {}
    for word in ("configMapGenerator", "secretGenerator"):
        for index, entry in enumerate(kustomization.get(word) or ()):
            if isinstance(entry, dict) and str(entry.get("name")) in name:
                inner = _find_generator_item(entry, path[1]) if len(path) > 1 else ("name",)
                _, line, column = parsed_file.documents[0].locate((word, index, *inner))
                return Location(parsed_file.file, line, column)
    if len(kustomization.get("helmCharts") or ()) == 1:
        _, line, column = parsed_file.documents[0].locate(("helmCharts", 0, "name"))
        return Location(parsed_file.file, line, column)
    return Location(parsed_file.file)


def _find_generator_item(entry: dict[str, Any], key: str | int) -> FieldPath:
    """The item of a generator that sets a key: `key=value`, `key=path`, or a path that ends in the key."""
    for word in ("files", "literals"):
        items = entry.get(word)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            before, equals, _ = str(item).partition("=")
            if (before if equals else PurePosixPath(before).name) == key:
                return (word, number)
    return ("name",)
