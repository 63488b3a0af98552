"""Checks only the changed files of a small change, with an index of the last full run."""

from __future__ import annotations

from gatekeeper.config import Config
from gatekeeper.engines.admission import policy_kinds
from gatekeeper.engines.references import exported_facts
from gatekeeper.gate import incremental_index, pipeline
from gatekeeper.gate.incremental_index import FileEntry, IncrementalIndex
from gatekeeper.gate.pipeline import CheckOptions, FullResult
from gatekeeper.model import Resource, Verdict
from gatekeeper.render.helm import chart_uses
from gatekeeper.workspace.tree import Tree

WAIVER_MARKER = b"gatekeeper:waive"


def check_changed_files(tree: Tree, index: IncrementalIndex, config: Config, options: CheckOptions) -> Verdict | None:
    """The verdict on a whole repository, or on a change; None if a full run is necessary.

    Args:
        tree: the files that differ from what the index knows.
        options: with the files of the change to report on.
    """
    differing_files, changed_files = frozenset(tree.files), options.changed_files
    if not incremental_index.can_check_alone(index, differing_files | (changed_files or frozenset())):
        return None
    if any(WAIVER_MARKER in content for file in differing_files if isinstance(content := tree.read_file(file), bytes)):
        return None
    whole = pipeline.check_and_render_tree(tree, config, options)
    resources = whole.rendered.resources
    # What the last full run could not check either, whatever the file, is in its verdict.
    known_gaps = {gap for gap in index.verdict.coverage.gaps if gap.file not in differing_files}
    has_new_gaps = not known_gaps.issuperset(whole.verdict.coverage.gaps)
    if has_new_gaps or not all(map(exported_facts.is_self_contained, resources)):
        return None
    names = {
        file: _hash_facts(
            [resource for resource in resources if resource.origin.file == file], index.config_object_names
        )
        for file in differing_files
    }
    verdict = incremental_index.merge_verdict(index, differing_files, whole.verdict, names)
    return pipeline.filter_by_files(verdict, changed_files, ()) if verdict is not None else None


def build_index(result: FullResult, tree: Tree, config: Config, git_listing: bytes) -> IncrementalIndex | None:
    """Builds the index of a full run for the next run; None if no file can be checked separately."""
    verdict = result.verdict
    resources = result.rendered.resources
    has_waivers = config.waivers in tree.files or (tree.root / config.baseline).exists()
    if not tree.is_whole or not verdict.is_cacheable or has_waivers or any(map(policy_kinds.is_policy, resources)):
        return None
    names = frozenset(exported_facts.list_provided_names(resources))
    folders = tuple(f"{folder}/".lstrip("/") for folder in chart_uses.find_chart_folders(result.parsed_files))
    skipped = {gap.file for gap in verdict.coverage.gaps}
    file_entries = {}
    for where, group in result.rendered.resource_groups:
        stands_alone = where not in skipped and not (folders and where.startswith(folders))
        if (
            group
            and stands_alone
            and all(resource.origin.file == where and exported_facts.is_self_contained(resource) for resource in group)
        ):
            content = tree.read_file(where)
            if isinstance(content, bytes) and WAIVER_MARKER not in content:
                file_entries[where] = FileEntry(_hash_facts(group, names), len(group), len(group))
    return IncrementalIndex(git_listing, file_entries, verdict, tuple(sorted(names)))


def _hash_facts(resources: list[Resource], config_object_names: frozenset[str] | tuple[str, ...]) -> str:
    words = frozenset(name.encode() for name in config_object_names)
    return incremental_index.hash_facts(exported_facts.describe_exports(resource, words) for resource in resources)
