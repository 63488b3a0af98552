"""From the GitRepositories and Kustomizations of a cluster to what is to be applied: pulled, rendered, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper import documents, runs, sources
from gatekeeper.artifacts import fetching, reading, resolving, verifying
from gatekeeper.artifacts.reading import GitRepository
from gatekeeper.artifacts.resolving import Revision
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.config import Config
from gatekeeper.errors import ToolError
from gatekeeper.fields import FieldError
from gatekeeper.hidden import Hidden
from gatekeeper.model import Resource, Verdict, at
from gatekeeper.reconciles import VERSIONS, Asked
from gatekeeper.reconciling.marking import GROUP
from gatekeeper.render import applied, every
from gatekeeper.stores.handed import Handed


class Source(NamedTuple):
    """A GitRepository of a cluster with the Kustomizations that apply what is in it; or why it cannot be followed."""

    value: Object
    repository: GitRepository | None
    kustomizations: Sequence[Object]
    fault: str = ""

    @property
    def name(self) -> str:
        """Namespace and name."""
        metadata = self.value["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"


def found(cluster: Objects) -> list[Source]:
    """The sources of a cluster.

    Raises:
        ToolError: it knows no GitRepositories.
    """
    held = list(_listed(cluster, reading.GROUP, reading.VERSIONS, "GitRepository"))
    kustomizations = list(_listed(cluster, GROUP, VERSIONS, "Kustomization"))
    all_: list[Source] = []
    for value in held:
        own = [one for one in kustomizations if _source_of(one) == _name(value)]
        try:
            all_.append(Source(value, reading.read(value), own))
        except FieldError as error:
            all_.append(Source(value, None, own, str(error)))
    return all_


def _listed(cluster: Objects, group: str, versions: Sequence[str], name: str) -> list[Object]:
    kind = cluster.newest(group, versions, name)
    if kind is None:
        raise ToolError(f"the cluster knows no {name} of {group}: install Flux's resource definitions")
    return [{**one, "kind": name} for one in cluster.list(kind)]


def _name(value: Object) -> tuple[str, str]:
    metadata = value["metadata"]
    return metadata["namespace"], metadata["name"]


def _source_of(kustomization: Object) -> tuple[str, str] | None:
    ref = at(kustomization, ("spec", "sourceRef")) or {}
    if ref.get("kind") != "GitRepository":
        return None
    return ref.get("namespace") or _name(kustomization)[0], str(ref.get("name"))


def revision_of(cluster: Objects, source: GitRepository) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    with closing(Handed()) as handed:
        way = fetching.access(source.url, _secret(cluster, source, source.secret), handed)
        return resolving.resolve(source.ref, fetching.listed(source, way))


def pulled(cluster: Objects, source: GitRepository, revision: Revision, folder: Path) -> Path:
    """The files of a commit, if it is signed as it must be.

    Raises:
        ToolError: it cannot be had, or is not signed by those who may.
    """
    with closing(Handed()) as handed:
        way = fetching.access(source.url, _secret(cluster, source, source.secret), handed)
        # What is left out of a commit hangs on the source, too.
        root = folder / hashlib.sha256(repr((source.url, source.ignore)).encode()).hexdigest()[:16]
        mirror = None
        if source.verification is not None:
            root.mkdir(parents=True, exist_ok=True)
            mirror = fetching.mirrored(source, revision, way, root)
            keys = _secret(cluster, source, source.verification.secret)
            verifying.verified(source, revision, mirror, way, keys)
        return fetching.checkout(source, revision, way, root, mirror)


def _secret(cluster: Objects, source: GitRepository, name: str) -> Mapping[str, Hidden]:
    if not name:
        return {}
    held = cluster.secret(source.namespace, name)
    if held is None:
        raise ToolError(f"the Secret {source.namespace}/{name} of the GitRepository is not there")
    return held


def judged(root: Path, settings: Config) -> Verdict:
    """What the gate says of a repository: the same as `gatekeeper check`."""
    return runs.verdict_of(runs.Run(root, [root], settings, lambda steps, step, part: None))


def asked(root: Path, settings: Config, jobs: int, given: Sequence[Object] | None) -> list[Asked]:
    """What Kustomizations apply from a repository.

    Args:
        given: those of the cluster; None for those that stand in the repository.
    """
    # What is kept from the gate is applied nevertheless, and must not be taken away for being overlooked.
    tree = sources.gather([root], root, ())
    seen = set(sources.gather([root], root, settings.exclude).files if settings.exclude else tree.files)
    unjudged = [name for name in tree.files if name not in seen and name.endswith((".yaml", ".yml"))]
    read, _ = documents.read(tree, jobs)
    who: list[Resource] | None = None if given is None else [applied.in_cluster(one) for one in given]
    all_: list[Asked] = []
    for entry, (resources, _, gaps) in every.by_applier(tree, read, settings, jobs, who):
        if entry.resource.ref.group != GROUP:
            continue
        lost = next((f"{gap.file}: {gap.reason}" for gap in gaps if gap.fatal), "")
        hidden = [name for name in unjudged if name.startswith(f"{entry.folder}/" if entry.folder else "")]
        if hidden and not lost:
            lost = f"{hidden[0]}: would be applied, and is kept from the gate by `files.exclude`"
        all_.append(Asked(entry.resource.value, entry.folder, [one.value for one in resources], lost))
    known = {one.name for one in all_}
    for one in given or ():
        # A path that leads nowhere is no wish to delete all.
        if _name(one) not in known:
            path: Any = at(one, ("spec", "path"))
            all_.append(Asked(one, "", (), f"`spec.path` {path} is no folder of the repository"))
    return all_
