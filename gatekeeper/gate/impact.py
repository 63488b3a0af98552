"""What a change can break: the changed files, and what is built from them or with them.

More is taken in where that is not surely known: a change is never judged by too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.config import KEYS, NAME, Config
from gatekeeper.engines.admission import engine
from gatekeeper.host import lockfile
from gatekeeper.model import Finding, Verdict
from gatekeeper.protocols import Positions
from gatekeeper.render import chart_uses, kustomization_graph
from gatekeeper.render.kustomization_graph import Kustomization, reach
from gatekeeper.sops import creation_rules as sops_rules
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

# Kinds that change what is made of other files: who applies them, with what, or by which schema.
FAR_REACHING = {"Kustomization", "Application", "ApplicationSet", "HelmRelease", "CustomResourceDefinition"}


def affected(tree: Tree, sources: Sequence[Source], config: Config, changed: frozenset[str]) -> frozenset[str] | None:
    """The files in which a finding can come from the change, or None for all files."""
    if _is_far_reaching(tree, sources, config, changed):
        return None
    found = kustomization_graph.find(tree, [*sources, *kustomization_graph.outside(tree, sources)])
    touched = set(changed)
    for folder in found:
        files = {file for part in reach(found, folder) for file in _files(part)}
        if any(_holds(file, name) for file in files for name in changed):
            touched |= files
    for folder in chart_uses.folders(sources):
        if any(not folder or name.startswith(f"{folder}/") for name in changed):
            touched.update(file for file in tree.files if not folder or file.startswith(f"{folder}/"))
    return frozenset(touched)


def tells(finding: Finding, reached: frozenset[str]) -> bool:
    """Whether a finding can come from a change: what names something is broken by a change of what it names."""
    # What is no longer used anywhere breaks nothing: a run on everything tells of it.
    is_named = finding.rule.startswith("references/") and finding.rule != "references/unused"
    return finding.place.file in reached or is_named


def apart(verdict: Verdict, before: Verdict, renames: Mapping[str, str]) -> Verdict:
    """A verdict in which what was there before is marked as old: it is not the change's fault, and does not count.

    Args:
        renames: the old names of files that moved.
    """
    moved = {old: new for new, old in renames.items()}
    known = set()
    for finding in before.counting:
        place = finding.place
        known.add(finding.fingerprint)
        known.add(finding._replace(place=place._replace(file=moved.get(place.file, place.file))).fingerprint)
    marked = (finding._replace(old=finding.fingerprint in known) for finding in verdict.findings)
    return verdict._replace(findings=tuple(marked))


def _is_far_reaching(tree: Tree, sources: Sequence[Source], config: Config, changed: frozenset[str]) -> bool:
    brought = (path for bundle in config.bundles for path in (bundle.get("source"), bundle.get("key")) if path)
    # Which programs render, and which certificates may seal, is decided in the lock and there for everything.
    own = (NAME, lockfile.NAME, KEYS, config.waivers, config.baseline)
    rules = (*own, *config.policies, *config.data, *config.crds, *config.leak_rules, *brought)
    if any(_holds(rule, name) for rule in rules for name in changed):
        return True
    # For whom files are to be encrypted.
    if any(name.rpartition("/")[2] in (sops_rules.NAME, sops_rules.MISSPELT) for name in changed):
        return True
    # Of what is deleted nobody knows any more what it did.
    if not changed <= set(tree.files):
        return True
    changed_sources = [source for source in sources if source.file in changed]
    kinds = {document.head[1] for source in changed_sources for document in source.documents if document.head}
    if kinds & FAR_REACHING or any(map(_is_values, changed_sources)):
        return True
    if _are_policies_touched(sources, changed_sources, kinds):
        return True
    return "ConfigMap" in kinds and _are_maps_used(sources)


def _are_policies_touched(sources: Sequence[Source], changed: Sequence[Source], kinds: set[str]) -> bool:
    """Whether policies that the repository deploys may say something else of what did not change."""
    known = [document for source in sources for document in source.documents if _is_policy(document)]
    if not known:
        return False
    if any(_is_policy(document) for source in changed for document in source.documents):
        return True
    # They select by labels of Namespaces, take parameters from ConfigMaps, except, and look at other resources.
    return bool(kinds & {"Namespace", "ConfigMap", "PolicyException"}) or any(b"inventory" in one.json for one in known)


def _is_policy(document: Positions) -> bool:
    return document.head is not None and engine.is_policy_kind(document.head[0].rpartition("/")[0], document.head[1])


def _are_maps_used(sources: Sequence[Source]) -> bool:
    """Whether Flux takes variables or values from ConfigMaps: then one may change what is made of other files."""
    words = (b'"substituteFrom"', b'"valuesFrom"')
    return any(word in document.json for source in sources for document in source.documents for word in words)


def _is_values(source: Source) -> bool:
    """Whether a file may be one of values for some chart."""
    name = source.file.rpartition("/")[2]
    no_resource = bool(source.documents) and not any(document.head for document in source.documents)
    return no_resource and source.role == "documents" and "values" in name


def _files(part: Kustomization) -> Iterator[str]:
    yield part.source.file
    yield from part.files
    yield from (f"{chart}/" for chart in part.inflates)


def _holds(path: str, name: str) -> bool:
    """Whether a path is a file, or a folder around it."""
    return path == name or name.startswith(f"{path.rstrip('/')}/")
