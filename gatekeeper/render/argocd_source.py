"""What one source of an Argo CD Application applies: a chart, a kustomization, or the files of a folder.

Source: argo-cd `docs/user-guide/{tool_detection,directory,helm,kustomize}.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.config import Config
from gatekeeper.model import FieldPath, Gap, Resource, at
from gatekeeper.render import appliers, chart_uses, manifests
from gatekeeper.render.origin import joined
from gatekeeper.render.pipeline import Built, Ground
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import Tree

SKIPPED = b"+argocd:skip-file-rendering"
# What Argo CD puts into a source before it renders it.
ENVIRONMENT = b"$ARGOCD_", b"${ARGOCD_"
KINDS = HELM, KUSTOMIZE, DIRECTORY = ("Helm", "Kustomize", "Directory")
# Whether a pattern fits a path.
Fits = Callable[[str, str], bool]


def kind_of(tree: Tree, folder: str) -> str:
    """By which tool a folder is rendered."""
    here = tree.root / folder
    if (here / "Chart.yaml").is_file():
        return HELM
    return KUSTOMIZE if any((here / name).is_file() for name in documents.KUSTOMIZATIONS) else DIRECTORY


def rendered(
    tree: Tree,
    base: Ground,
    resource: Resource,
    where: FieldPath,
    folder: str,
    roots: Mapping[str, Path],
    config: Config,
    fits: Fits,
) -> Built:
    """What a source applies; where not all of it can be had, a fatal gap.

    Args:
        tree: the source's repository, from which `base` is.
        resource: the Application.
        where: of the source in it.
        folder: that it applies.
        roots: the folders of repositories that lend files of values, by their `ref`.
    """
    part = at(resource.value, where)
    folder = joined("", folder)
    if folder.startswith("..") or (tree.root / folder).resolve() != (tree.root.resolve() / folder):
        return _lost(folder, f"`path` {folder} leads elsewhere: write the folder itself")
    if not (tree.root / folder).is_dir():
        return _lost(folder, f"`path` {folder} is no folder of the repository")
    if any(word in orjson.dumps(part) for word in ENVIRONMENT):
        return _lost(folder, "the build environment (`$ARGOCD_…`) is not supported")
    tool = kind_of(tree, folder)
    if tool == HELM:
        return _charted(tree, base, resource, where, folder, roots, config)
    if tool == KUSTOMIZE:
        from gatekeeper.render import kustomize

        if folder not in base.found:
            return _lost(folder, "its kustomization cannot be read")
        by = appliers.of_source(resource, where, folder)
        target = kustomize.Target(folder, (), by if by.fields else None)
        return kustomize.build(tree, base.found, target, base.by_file, config)
    return _plain(tree, base, at(part, ("directory",)) or {}, folder, fits)


def _lost(file: str, reason: str) -> Built:
    return [], [], [Gap(file, reason, fatal=True)]


def _charted(
    tree: Tree,
    base: Ground,
    resource: Resource,
    where: FieldPath,
    folder: str,
    roots: Mapping[str, Path],
    config: Config,
) -> Built:
    from gatekeeper.render import helm

    use = chart_uses.of_source(resource, where, folder, lambda file: (tree.root / file).is_file(), roots)
    bounds = [root.resolve() for root in (tree.root, *roots.values())]
    for file in use.files:
        path = (tree.root / file).resolve()
        if not any(path.is_relative_to(bound) for bound in bounds):
            return _lost(folder, f"the file of values {file} lies outside of the repository")
    held = at(resource.value, (*where, "helm")) or {}
    use = use._replace(crds=not held.get("skipCrds"))
    return helm.build(tree, use, base.by_file, str(held.get("kubeVersion") or config.kubernetes), config.timeout)


def _plain(tree: Tree, base: Ground, wanted: Mapping[str, Any], folder: str, fits: Fits) -> Built:
    """The files of a folder that end like manifests; those below it only if that is asked for."""
    found: Built = ([], [], [])
    for file in _files(tree, folder, wanted, fits):
        content = tree.read(file)
        if isinstance(content, Gap):
            found[2].append(content)
        elif file.endswith(".jsonnet"):
            found[2].append(Gap(file, "Jsonnet is not supported", fatal=True))
        elif SKIPPED not in content:
            more, gap = _of_file(base, file, content)
            found[0].extend(more)
            found[2].extend([gap] if gap else [])
    return found


def _files(tree: Tree, folder: str, wanted: Mapping[str, Any], fits: Fits) -> Sequence[str]:
    start = f"{folder}/" if folder else ""
    listed = [file for file in tree.files if file.startswith(start)]
    if not wanted.get("recurse"):
        listed = [file for file in listed if "/" not in file[len(start) :]]
    include, exclude = (str(wanted.get(name) or "") for name in ("include", "exclude"))
    listed = [file for file in listed if file.endswith((".yaml", ".yml", ".json", ".jsonnet"))]
    listed = [file for file in listed if not (exclude and fits(exclude, file[len(start) :]))]
    return [file for file in listed if not include or fits(include, file[len(start) :])]


def _of_file(base: Ground, file: str, content: bytes) -> tuple[list[Resource], Gap | None]:
    source = base.by_file.get(file)
    if documents.encrypted_by(content):
        return [], Gap(file, "is encrypted, and nothing opens it for an Application", fatal=True)
    if source is None:
        found, failure = documents.parse(content)
        source = documents.Source(file, "documents", tuple(found)) if failure is None else None
    if source is None or source.broken or source.role != "documents":
        return [], Gap(file, f"cannot be read: {source.note if source else 'no YAML'}", fatal=True)
    return list(manifests.resources(source)), None
