"""Where the fields of resources come from: the file, line and column that an author can edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import orjson

from gatekeeper.model import FieldPath, Place, Resource, at
from gatekeeper.protocols import Positions
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source

# What tells the items of a Kubernetes list apart (the merge keys of strategic merge patches).
MERGE_KEYS = ("name", "containerPort", "mountPath", "devicePath", "port", "key", "ip", "topologyKey")


class Plain(NamedTuple):
    """A resource as it stands in its file; `prefix` leads to it inside of a List."""

    file: str
    document: Positions
    prefix: FieldPath = ()

    def place(self, path: FieldPath, key: bool = False) -> Place:
        """See `gatekeeper.protocols.Origin`."""
        _, line, column = self.document.locate((*self.prefix, *path), key)
        return Place(self.file, line, column)


class Step(NamedTuple):
    """A kustomization that changed a resource, and by which of kustomize's transformers."""

    file: str
    transformer: str


class Controller(NamedTuple):
    """A Flux Kustomization or Argo CD Application that adds fields (JSON) to a kustomization, and where it has them."""

    resource: Resource
    prefix: FieldPath
    fields: bytes

    def place(self, transformer: str, path: FieldPath, kind: str, value: Any) -> Place | None:
        """The line of the resource that set a field, if one did."""
        held = orjson.loads(self.fields)
        if not transformer.startswith("Patch"):
            target = _transformer_field(transformer, held, path, at(value, path))
            renamed = ("targetNamespace",) if target == ("namespace",) and self.prefix == ("spec",) else target
            return self.resource.origin.place((*self.prefix, *renamed)) if renamed else None
        for where, entry in reversed(list(patch_entries(held))):
            inner, failure = documents.parse(entry.encode()) if isinstance(entry, str) else ([], None)
            for document in inner if failure is None else ():
                found = in_patch(document, path, kind, value)
                if found:
                    file, line, _ = self.resource.origin.place((*self.prefix, *where))
                    return Place(file, line and line + found[0])
        return None


class Overlay(NamedTuple):
    """A resource that kustomize built, from the annotations that it leaves (origin and transformations)."""

    file: str
    kind: str
    name: str
    rendered: bytes
    steps: tuple[Step, ...]
    sources: Mapping[str, Source]
    by: Controller | None = None

    def place(self, path: FieldPath, key: bool = False) -> Place:
        """See `gatekeeper.protocols.Origin`: the last kustomization that set the field, or else its own file."""
        value = orjson.loads(self.rendered)
        if at(value, path) is not None:
            for step in reversed(self.steps):
                found = self._set_by(step, path, value)
                if found:
                    return found
        return self._in_file(path, value, key)

    def _in_file(self, path: FieldPath, value: Any, key: bool) -> Place:
        source = self.sources.get(self.file)
        if source is None:
            return Place(self.file)
        if is_kustomization(self.file):
            return _generator(source, self.name, path)
        for document, held in resources_in(source):
            if held.get("kind") == self.kind and self.name.find(str(named(held))) >= 0:
                _, line, column = document.locate(follow(path, value, held), key)
                return Place(self.file, line, column)
        return Place(self.file)

    def _set_by(self, step: Step, path: FieldPath, value: Any) -> Place | None:
        if not step.file:
            return self.by.place(step.transformer, path, self.kind, value) if self.by else None
        source = self.sources.get(step.file)
        if source is None or not source.documents:
            return None
        held = documents.value_of(source.documents[0])
        if not isinstance(held, dict):
            return None
        if step.transformer.startswith("Patch"):
            return next(self._patches(source, held, path, value), None)
        target = _transformer_field(step.transformer, held, path, at(value, path))
        if target is None:
            return None
        depth, line, column = source.documents[0].locate(target)
        return Place(step.file, line, column) if depth == len(target) else None

    def _patches(self, source: Source, held: dict[str, Any], path: FieldPath, value: Any) -> Iterator[Place]:
        """Places in patches of this kustomization that set the field to what was rendered."""
        for where, entry in reversed(list(patch_entries(held))):
            if isinstance(entry, str) and "\n" not in entry:
                file = joined(source.folder, entry)
                patch = self.sources.get(file)
                for document in patch.documents if patch else ():
                    found = in_patch(document, path, self.kind, value)
                    if found:
                        yield Place(file, *found)
            elif isinstance(entry, str):
                inner, failure = documents.parse(entry.encode())
                for document in inner if failure is None else ():
                    if found := in_patch(document, path, self.kind, value):
                        _, line, _ = source.documents[0].locate(where)
                        yield Place(source.file, line + found[0])


def in_patch(document: Positions, path: FieldPath, kind: str, value: Any) -> tuple[int, int] | None:
    """Line and column in a patch that set a field of an object of a kind to what was rendered."""
    held = documents.value_of(document)
    if isinstance(held, list):
        return _operation(document, held, path)
    if not isinstance(held, dict) or held.get("kind", kind) != kind:
        return None
    there = follow(path, value, held)
    depth, line, column = document.locate(there)
    return (line, column) if depth == len(path) and at(held, there) == at(value, path) else None


def follow(path: FieldPath, rendered: Any, source: Any) -> FieldPath:
    """The same field in another version of an object, where the items of lists may stand in another order."""
    out: FieldPath = ()
    for step in path:
        item = at(rendered, (step,))
        if isinstance(step, int) and isinstance(source, list) and isinstance(item, dict):
            step = _same_item(item, source, step)
        out = (*out, step)
        rendered, source = item, at(source, (step,))
    return out


def _same_item(item: dict[str, Any], items: list[Any], index: int) -> int:
    for key in MERGE_KEYS:
        if key in item:
            same = [
                number for number, other in enumerate(items) if isinstance(other, dict) and other.get(key) == item[key]
            ]
            return same[0] if same else len(items)
    return index


def resources_in(source: Source) -> Iterator[tuple[Positions, dict[str, Any]]]:
    """The Kubernetes objects of a file."""
    for document in source.documents:
        value = documents.value_of(document)
        if documents.is_resource(value):
            yield document, value


def named(value: dict[str, Any]) -> str:
    """`metadata.name`, or nothing."""
    name = at(value, ("metadata", "name"))
    return name if isinstance(name, str) else ""


def is_kustomization(file: str) -> bool:
    """Whether a file is a kustomization by its name."""
    return PurePosixPath(file).name in documents.KUSTOMIZATIONS


def joined(folder: str, relative: str) -> str:
    """A path relative to the repository's root, `..` resolved; it starts with `..` where it leaves the repository."""
    parts: list[str] = []
    for part in (*PurePosixPath(folder).parts, *PurePosixPath(relative).parts):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in (".", ""):
            parts.append(part)
    return "/".join(parts)


def patch_entries(held: dict[str, Any]) -> Iterator[tuple[FieldPath, Any]]:
    """Every patch of a kustomization: where it stands, and its text or its file's name."""
    for word in ("patchesStrategicMerge", "patches", "patchesJson6902"):
        entries = held.get(word)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                for key in ("path", "patch"):
                    if key in entry:
                        yield (word, index, key), entry[key]
            else:
                yield (word, index), entry


def _operation(document: Positions, operations: list[Any], path: FieldPath) -> tuple[int, int] | None:
    """The JSON 6902 operation that sets a field or something around it."""
    for index in reversed(range(len(operations))):
        pointer = operations[index].get("path") if isinstance(operations[index], dict) else None
        if not isinstance(pointer, str) or operations[index].get("op") not in ("add", "replace"):
            continue
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.strip("/").split("/")]
        if [str(step) for step in path[: len(steps)]] == [step.replace("-", step) for step in steps]:
            _, line, column = document.locate((index, "value", *path[len(steps) :]))
            return line, column
    return None


def _transformer_field(transformer: str, held: dict[str, Any], path: FieldPath, value: Any) -> FieldPath | None:
    """The kustomization's own field that a built-in transformer took the value from."""
    if transformer == "NamespaceTransformer" and path[-1:] == ("namespace",):
        return ("namespace",)
    if transformer == "ImageTagTransformer" and path[-1:] == ("image",):
        return _image(held, str(value))
    if transformer == "ReplicaCountTransformer" and path[-1:] == ("replicas",):
        counts = [index for index, entry in enumerate(held.get("replicas", ())) if entry.get("count") == value]
        return ("replicas", counts[0], "count") if counts else None
    if transformer in ("PrefixTransformer", "SuffixTransformer") and path[-1:] == ("name",):
        return ("namePrefix",) if transformer.startswith("Prefix") else ("nameSuffix",)
    if transformer in ("LabelTransformer", "AnnotationsTransformer"):
        for candidate in (("commonLabels",), ("commonAnnotations",), *(("labels", n, "pairs") for n in range(9))):
            if at(held, (*candidate, *path[-1:])) == value:
                return (*candidate, *path[-1:])
    return None


def _image(held: dict[str, Any], image: str) -> FieldPath | None:
    for index, entry in enumerate(held.get("images", ())):
        name = entry.get("newName", entry.get("name", ""))
        if isinstance(name, str) and name and image.startswith(name):
            for key in ("newTag", "digest", "newName"):
                if key in entry and str(entry[key]) in image:
                    return ("images", index, key)
    return None


def _generator(source: Source, name: str, path: FieldPath) -> Place:
    """What made a ConfigMap or Secret (its name has a hash at the end): the entry of a key, or the generator."""
    held = documents.value_of(source.documents[0]) if source.documents else {}
    for word in ("configMapGenerator", "secretGenerator"):
        for index, entry in enumerate(held.get(word) or ()):
            if isinstance(entry, dict) and str(entry.get("name")) in name:
                inner = _generated(entry, path[1]) if len(path) > 1 else ("name",)
                _, line, column = source.documents[0].locate((word, index, *inner))
                return Place(source.file, line, column)
    if len(held.get("helmCharts") or ()) == 1:
        _, line, column = source.documents[0].locate(("helmCharts", 0, "name"))
        return Place(source.file, line, column)
    return Place(source.file)


def _generated(entry: dict[str, Any], key: str | int) -> FieldPath:
    """The item of a generator that brings a key: `key=value`, `key=path`, or a path that ends in the key."""
    for word in ("files", "literals"):
        items = entry.get(word)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            before, equals, _ = str(item).partition("=")
            if (before if equals else PurePosixPath(before).name) == key:
                return (word, number)
    return ("name",)
