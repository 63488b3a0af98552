"""What a change can break: the changed files, and everything that is built from them or with them.

Where that cannot be determined, everything counts as affected, so no finding of a change is missed.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gatekeeper.config import CERTIFICATE_FOLDER, CONFIG_FILE, Config, list_schema_paths
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.gate import finding_groups
from gatekeeper.model import Finding, ParsedDocument, Verdict
from gatekeeper.render import kustomization_graph
from gatekeeper.render.helm import chart_dependencies, chart_uses
from gatekeeper.render.kustomization_graph import list_reachable
from gatekeeper.render.model import KustomizationFile
from gatekeeper.sops import creation_rules as sops_rules
from gatekeeper.workspace import lockfile
from gatekeeper.workspace.tree import ParsedFile, Tree

# Kinds that change what other files are rendered to or checked by: who applies them, with what, by which schema.
FAR_REACHING_KINDS = {"Kustomization", "Application", "ApplicationSet", "HelmRelease", "CustomResourceDefinition"}


def find_affected_files(
    tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, changed_files: frozenset[str]
) -> frozenset[str] | None:
    """The files in which a change can cause findings; None for all files."""
    changed_files = _add_linked_files(tree, changed_files)
    if _is_far_reaching(tree, parsed_files, config, changed_files):
        return None
    _, kustomizations = kustomization_graph.parse_outside_files(tree, parsed_files)
    affected = set(changed_files)
    for folder in kustomizations:
        files = {file for part in list_reachable(kustomizations, folder) for file in _list_input_paths(part)}
        if any(_is_path_within(file, name) for file in files for name in changed_files):
            affected |= files
    for folder in chart_uses.find_chart_folders(parsed_files):
        # A chart is rendered with its dependencies, whose files are in folders of their own.
        used = tuple(f"{chart}/" if chart else "" for chart in chart_dependencies.list_used_charts(tree, folder))
        if any(name.startswith(used) for name in changed_files):
            affected.update(file for file in tree.files if file.startswith(used))
    return frozenset(affected)


def _add_linked_files(tree: Tree, changed_files: frozenset[str]) -> frozenset[str]:
    """The changed files, with the links to them and the targets of links among them."""
    return changed_files.union(*(pair for pair in tree.links.items() if not changed_files.isdisjoint(pair)))


def is_affected(finding: Finding, affected_files: frozenset[str]) -> bool:
    """Whether a change can cause a finding: removing a resource breaks the references to it, in any file."""
    # An object that nothing refers to any more breaks nothing; a full check reports it.
    is_reference = finding.rule.startswith("references/") and finding.rule != "references/unused"
    return finding.location.file in affected_files or is_reference


def list_rule_paths(config: Config) -> list[str]:
    """The files and folders that affect the check of every file: configuration, policies, pins."""
    bundle_paths = (path for bundle in config.bundles for path in (bundle.get("source"), bundle.get("key")) if path)
    # The lock pins the programs that render, and the certificates say which keys may seal: both affect every file.
    own = (CONFIG_FILE, lockfile.LOCK_FILE, CERTIFICATE_FOLDER, config.waivers, config.baseline)
    return [*own, *config.policies, *config.data, *list_schema_paths(config), *config.leak_rules, *bundle_paths]


def is_any_within(paths: Iterable[str], files: Iterable[str]) -> bool:
    """Whether any of the files is one of the paths, or is in a folder that is one of them."""
    names = {posixpath.normpath(path) for path in paths if path}
    folders = tuple("" if name == "." else f"{name}/" for name in names)
    return any(file in names or file.startswith(folders) for file in files)


def mark_preexisting(verdict: Verdict, base_verdict: Verdict, renames: Mapping[str, str]) -> Verdict:
    """Marks the findings that the base of a change has too: the change did not cause them, so they do not count.

    If there are more findings with one fingerprint than at the base, all of them count: which one is new is unknown.

    Args:
        renames: the old names of files that were renamed, by their new names.
    """
    new_names = {old: new for new, old in renames.items()}
    known: Counter[str] = Counter()
    for finding in finding_groups.ungroup_findings(base_verdict.active_findings):
        location = finding.location
        renamed = location._replace(file=new_names.get(location.file, location.file))
        known.update({finding.fingerprint, finding._replace(location=renamed).fingerprint})
    findings = list(finding_groups.ungroup_findings(verdict.findings))
    counts = Counter(finding.fingerprint for finding in findings if not finding.waiver)
    preexisting = {fingerprint for fingerprint, count in known.items() if counts[fingerprint] <= count}
    marked = (finding._replace(is_preexisting=finding.fingerprint in preexisting) for finding in findings)
    return verdict._replace(findings=finding_groups.regroup_findings(marked))


def _is_far_reaching(
    tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, changed_files: frozenset[str]
) -> bool:
    if is_any_within(list_rule_paths(config), changed_files):
        return True
    # These define the recipients of each file.
    if any(
        name.rpartition("/")[2] in (sops_rules.CONFIG_NAME, sops_rules.MISSPELT_CONFIG_NAME) for name in changed_files
    ):
        return True
    # What a deleted file was used for is unknown.
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
    """Whether policies that the repository deploys may have new results for unchanged resources."""
    policies = [document for source in parsed_files for document in source.documents if _is_policy(document)]
    if not policies:
        return False
    if any(_is_policy(document) for source in changed_files for document in source.documents):
        return True
    # Policies select by Namespace labels, read parameters from ConfigMaps, have exceptions, and see other resources.
    if kinds & {"Namespace", "ConfigMap", "PolicyException"}:
        return True
    return any(b"inventory" in policy.json for policy in policies)


def _is_policy(document: ParsedDocument) -> bool:
    return document.head is not None and policy_kinds.is_policy_kind(
        document.head[0].rpartition("/")[0], document.head[1]
    )


def _are_config_maps_used(parsed_files: Sequence[ParsedFile]) -> bool:
    """Whether Flux takes variables or values from ConfigMaps: then a ConfigMap changes what other files render to."""
    words = (b'"substituteFrom"', b'"valuesFrom"')
    return any(word in document.json for source in parsed_files for document in source.documents for word in words)


def _is_values_file(parsed_file: ParsedFile) -> bool:
    """Whether a file may be a values file of a chart."""
    name = parsed_file.file.rpartition("/")[2]
    has_no_resource = bool(parsed_file.documents) and not any(document.head for document in parsed_file.documents)
    return has_no_resource and parsed_file.role == "documents" and "values" in name


def _list_input_paths(kustomization: KustomizationFile) -> Iterator[str]:
    yield kustomization.parsed_file.file
    yield from kustomization.files
    yield from (f"{chart}/" for chart in kustomization.local_charts)


def _is_path_within(folder: str, file: str) -> bool:
    """Whether a path is that file, or a folder that contains it."""
    return folder == file or file.startswith(f"{folder.rstrip('/')}/")
