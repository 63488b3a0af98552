"""What a change can break: the changed files, and what is built from them or with them.

More is taken in where that is not surely known: a change is never judged by too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.config import CERTIFICATE_FOLDER, CONFIG_FILE, Config
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.model import Finding, ParsedDocument, Verdict
from gatekeeper.render import chart_uses, kustomization_graph
from gatekeeper.render.kustomization_graph import KustomizationFile, list_reachable
from gatekeeper.sops import creation_rules as sops_rules
from gatekeeper.workspace import lockfile
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

# Kinds that change what is made of other files: who applies them, with what, or by which schema.
FAR_REACHING_KINDS = {"Kustomization", "Application", "ApplicationSet", "HelmRelease", "CustomResourceDefinition"}


def find_affected_files(
    tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, changed_files: frozenset[str]
) -> frozenset[str] | None:
    """The files in which a finding can come from the change, or None for all files."""
    if _is_far_reaching(tree, parsed_files, config, changed_files):
        return None
    found = kustomization_graph.find_kustomizations(
        tree, [*parsed_files, *kustomization_graph.parse_outside_files(tree, parsed_files)]
    )
    touched = set(changed_files)
    for folder in found:
        files = {file for part in list_reachable(found, folder) for file in _list_input_paths(part)}
        if any(_is_path_within(file, name) for file in files for name in changed_files):
            touched |= files
    for folder in chart_uses.find_chart_folders(parsed_files):
        if any(not folder or name.startswith(f"{folder}/") for name in changed_files):
            touched.update(file for file in tree.files if not folder or file.startswith(f"{folder}/"))
    return frozenset(touched)


def is_affected(finding: Finding, affected_files: frozenset[str]) -> bool:
    """Whether a finding can come from a change: what names something is broken by a change of what it names."""
    # What is no longer used anywhere breaks nothing: a run on everything tells of it.
    is_named = finding.rule.startswith("references/") and finding.rule != "references/unused"
    return finding.location.file in affected_files or is_named


def mark_preexisting(verdict: Verdict, base_verdict: Verdict, renames: Mapping[str, str]) -> Verdict:
    """A verdict in which what was there before is marked as old: it is not the change's fault, and does not count.

    Args:
        renames: the old names of files that moved.
    """
    moved = {old: new for new, old in renames.items()}
    known = set()
    for finding in base_verdict.active_findings:
        place = finding.location
        known.add(finding.fingerprint)
        known.add(finding._replace(location=place._replace(file=moved.get(place.file, place.file))).fingerprint)
    marked = (finding._replace(is_preexisting=finding.fingerprint in known) for finding in verdict.findings)
    return verdict._replace(findings=tuple(marked))


def _is_far_reaching(
    tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, changed_files: frozenset[str]
) -> bool:
    brought = (path for bundle in config.bundles for path in (bundle.get("source"), bundle.get("key")) if path)
    # Which programs render, and which certificates may seal, is decided in the lock and there for everything.
    own = (CONFIG_FILE, lockfile.LOCK_FILE, CERTIFICATE_FOLDER, config.waivers, config.baseline)
    rules = (*own, *config.policies, *config.data, *config.crds, *config.leak_rules, *brought)
    if any(_is_path_within(rule, name) for rule in rules for name in changed_files):
        return True
    # For whom files are to be encrypted.
    if any(
        name.rpartition("/")[2] in (sops_rules.CONFIG_NAME, sops_rules.MISSPELT_CONFIG_NAME) for name in changed_files
    ):
        return True
    # Of what is deleted nobody knows any more what it did.
    if not changed_files <= set(tree.files):
        return True
    changed_sources = [source for source in parsed_files if source.file in changed_files]
    kinds = {document.head[1] for source in changed_sources for document in source.documents if document.head}
    if kinds & FAR_REACHING_KINDS or any(map(_is_values_file, changed_sources)):
        return True
    if _are_policies_touched(parsed_files, changed_sources, kinds):
        return True
    return "ConfigMap" in kinds and _are_config_maps_used(parsed_files)


def _are_policies_touched(
    parsed_files: Sequence[ParsedFile], changed_files: Sequence[ParsedFile], kinds: set[str]
) -> bool:
    """Whether policies that the repository deploys may say something else of what did not change."""
    known = [document for source in parsed_files for document in source.documents if _is_policy(document)]
    if not known:
        return False
    if any(_is_policy(document) for source in changed_files for document in source.documents):
        return True
    # They select by labels of Namespaces, take parameters from ConfigMaps, except, and look at other resources.
    return bool(kinds & {"Namespace", "ConfigMap", "PolicyException"}) or any(b"inventory" in one.json for one in known)


def _is_policy(document: ParsedDocument) -> bool:
    return document.head is not None and policy_kinds.is_policy_kind(
        document.head[0].rpartition("/")[0], document.head[1]
    )


def _are_config_maps_used(parsed_files: Sequence[ParsedFile]) -> bool:
    """Whether Flux takes variables or values from ConfigMaps: then one may change what is made of other files."""
    words = (b'"substituteFrom"', b'"valuesFrom"')
    return any(word in document.json for source in parsed_files for document in source.documents for word in words)


def _is_values_file(parsed_file: ParsedFile) -> bool:
    """Whether a file may be one of values for some chart."""
    name = parsed_file.file.rpartition("/")[2]
    no_resource = bool(parsed_file.documents) and not any(document.head for document in parsed_file.documents)
    return no_resource and parsed_file.role == "documents" and "values" in name


def _list_input_paths(kustomization: KustomizationFile) -> Iterator[str]:
    yield kustomization.parsed_file.file
    yield from kustomization.files
    yield from (f"{chart}/" for chart in kustomization.local_charts)


def _is_path_within(folder: str, file: str) -> bool:
    """Whether a path is a file, or a folder around it."""
    return folder == file or file.startswith(f"{folder.rstrip('/')}/")
