"""What the real kustomize builds from a kustomization, or from files that a controller changes as one."""

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
from gatekeeper.host import toolchain
from gatekeeper.host.process import run
from gatekeeper.model import Finding, Gap, Place, Resource, at
from gatekeeper.render.appliers import Applied
from gatekeeper.render.kustomization_graph import FILE_LISTS, REMOTE, Kustomization, entries, reach
from gatekeeper.render.manifests import ref_of
from gatekeeper.render.origin import Controller, Overlay, Step, joined
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

ORIGIN = "config.kubernetes.io/origin"
TRANSFORMATIONS = "alpha.config.kubernetes.io/transformations"


# "accumulating resources from 'a': read a: is a directory: recursed accumulation of path 'a':", once a folder.
WRAPPING = re.compile(r"^((accumulat\w+ \w+: )?accumulation err='.*?': recursed accumulation of path '[^']*': )+")


class Target(NamedTuple):
    """What is built at once: a kustomization's folder, or plain files below it; and what applies them, if it adds."""

    folder: str
    files: tuple[str, ...] = ()
    by: Applied | None = None


def build(
    tree: Tree, found: Mapping[str, Kustomization], target: Target, sources: Mapping[str, Source], config: Config
) -> tuple[list[Resource], list[Finding], list[Gap]]:
    """What kustomize builds from a target; where it cannot, a finding with its words, and a gap."""
    file = found[target.folder].source.file if not target.files else target.files[0]
    fields, findings, gaps = _fields(target)
    _refused(found, target, file, findings, gaps)
    if gaps:
        return [], findings, gaps
    try:
        text = _run(tree, target, fields, _inflates(found, target), config)
    except ToolError as error:
        return [], *_failed(file, str(error))
    built, failure = documents.parse(text)
    if failure:
        return [], *_failed(file, f"kustomize wrote what cannot be read: {failure[0]}")
    resources = []
    for document in built:
        value = documents.value_of(document)
        if documents.is_resource(value):
            resources.append(_resource(tree, value, target, sources, file))
    return resources, [], []


def _fields(target: Target) -> tuple[dict[str, Any], list[Finding], list[Gap]]:
    """What the controller adds to the kustomization, its paths from the repository's root; and what is refused."""
    by = target.by
    if by is None:
        return {}, [], []
    fields: dict[str, Any] = orjson.loads(by.fields)
    refused = []
    for holder, key in _paths_in(fields):
        local = joined(target.folder, str(holder[key]))
        if str(holder[key]).startswith((*REMOTE, "/")) or local.startswith(".."):
            refused.append(str(holder[key]))
        holder[key] = local
    # A patch that names no target must match a resource, but this target may be only a part of what is applied.
    for entry in entries(fields, "patches"):
        if isinstance(entry, dict) and "target" not in entry and isinstance(entry.get("patch"), str):
            entry.update(_target_of(entry["patch"]))
    file = by.resource.origin.file
    gaps = [
        Gap(file, f"applies {name}, which is not in the repository and not fetched", fatal=True) for name in refused
    ]
    return fields, [], gaps


def _paths_in(fields: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Each path among the fields, as the list or mapping that holds it, and its place there."""
    components = entries(fields, "components")
    yield from ((components, index) for index in range(len(components)))
    yield from ((entry, "path") for entry in entries(fields, "patches") if isinstance(entry, dict) and "path" in entry)


def _target_of(patch: str) -> dict[str, Any]:
    found, failure = documents.parse(patch.encode())
    value = documents.value_of(found[0]) if found and failure is None else {}
    if not documents.is_resource(value):
        return {}
    ref = ref_of(value)
    version = ref.api_version.rpartition("/")[2]
    return {"target": {"group": ref.group, "version": version, "kind": ref.kind, "name": f"^{re.escape(ref.name)}$"}}


def _refused(
    found: Mapping[str, Kustomization], target: Target, file: str, findings: list[Finding], gaps: list[Gap]
) -> None:
    """What must not be run: anything from outside of the repository."""
    for part in () if target.files else reach(found, target.folder):
        for name in part.remote:
            reason = f"builds on the remote {name}, which is not fetched: put a copy of it into the repository"
            gaps.append(Gap(file, reason, fatal=True))
        for name in part.outside:
            message = f"`{name}` lies outside of the repository, so it is not what was reviewed"
            findings.append(Finding("render/outside", "error", message, _line(part.source, name)))
            gaps.append(Gap(file, message, fatal=True))
        for name in part.fetches:
            reason = f"inflates the Helm chart {name}, which is not in the repository and not fetched"
            gaps.append(Gap(file, reason, fatal=True))


def _line(source: Source, name: str) -> Place:
    value = documents.value_of(source.documents[0])
    for word in FILE_LISTS:
        if name in entries(value, word):
            _, line, column = source.documents[0].locate((word, value[word].index(name)))
            return Place(source.file, line, column)
    return Place(source.file, 1)


def _failed(file: str, words: str) -> tuple[list[Finding], list[Gap]]:
    finding = Finding(
        "render/kustomize", "error", words, Place(file, 1), hint="run `kustomize build` there and mend it"
    )
    return [finding], [Gap(file, "kustomize could not build it, so nothing of it was judged", fatal=True)]


def _inflates(found: Mapping[str, Kustomization], target: Target) -> bool:
    return not target.files and any(part.inflates for part in reach(found, target.folder))


def _run(tree: Tree, target: Target, fields: dict[str, Any], inflates: bool, config: Config) -> bytes:
    """Builds the target as all resources of a wrapper that asks kustomize to note where everything comes from."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as scratch:
        wrapper = Path(scratch).resolve()

        def from_wrapper(path: str) -> str:
            return os.path.relpath((tree.root / path).resolve(), wrapper)

        for holder, key in _paths_in(fields):
            holder[key] = from_wrapper(holder[key])
        resources = [from_wrapper(path) for path in target.files or (target.folder,)]
        settings = {**fields, "resources": resources, "buildMetadata": ["originAnnotations", "transformerAnnotations"]}
        (wrapper / "kustomization.yaml").write_bytes(orjson.dumps(settings))
        command: list[str | Path] = [toolchain.find("kustomize"), "build", "--load-restrictor", "LoadRestrictionsNone"]
        if inflates:
            command += [
                "--enable-helm",
                "--helm-command",
                toolchain.find("helm"),
                "--helm-kube-version",
                config.kubernetes,
            ]
        code, out, words = run([*command, wrapper], config.timeout)
        if code != 0:
            told = words.strip().replace(f"{tree.root.resolve()}/", "").replace(str(wrapper), "the wrapper")
            raise ToolError(_last_cause(told))
        return out


def _last_cause(words: str) -> str:
    """kustomize wraps its error once per folder, each time repeating the paths; the innermost says it all."""
    text = " ".join(words.removeprefix("Error: ").split())
    text = WRAPPING.sub("", text)
    return text if len(text) <= 600 else f"{text[:250]} … {text[-340:]}"


def _resource(
    tree: Tree, value: dict[str, Any], target: Target, sources: Mapping[str, Source], otherwise: str
) -> Resource:
    annotations = at(value, ("metadata", "annotations")) or {}
    origin = _yaml(annotations.pop(ORIGIN, ""))
    steps = _yaml(annotations.pop(TRANSFORMATIONS, ""))
    if not annotations:
        value["metadata"].pop("annotations", None)
    # The paths are relative to the wrapper, which lies elsewhere: only their end, below the root, matters.
    file = _within(tree, at(origin, ("path",)) or at(origin, ("configuredIn",)))
    changed = tuple(
        Step(_within(tree, step.get("configuredIn")) or "", str(at(step, ("configuredBy", "kind"))))
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, dict)
    )
    json = orjson.dumps(value)
    ref = ref_of(value)
    by = Controller(target.by.resource, target.by.prefix, target.by.fields) if target.by else None
    return Resource(ref, json, Overlay(file or otherwise, ref.kind, ref.name, json, changed, sources, by))


def _within(tree: Tree, path: Any) -> str | None:
    """A path that kustomize noted (relative to a folder in the temporary directory) as one of the repository."""
    if not isinstance(path, str):
        return None
    absolute = Path(os.path.normpath(Path(tempfile.gettempdir()).resolve() / "x" / path))
    root = tree.root.resolve()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else None


def _yaml(text: Any) -> Any:
    if not isinstance(text, str) or not text:
        return {}
    found, failure = documents.parse(text.encode())
    return documents.value_of(found[0]) if found and not failure else {}
