"""One run of the gate: checks only the changed files if possible, otherwise everything; stores the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from gatekeeper.config import Config, anchor_paths
from gatekeeper.errors import GatekeeperError
from gatekeeper.gate import impact, incremental, incremental_index, pipeline, shards, verdict_cache, verdict_codec
from gatekeeper.gate.pipeline import CheckOptions
from gatekeeper.gate.request import BaseComparison, CheckRequest
from gatekeeper.gate.verdict_cache import CacheEntry
from gatekeeper.host import git_export, git_history, git_state
from gatekeeper.model import Verdict
from gatekeeper.workspace import file_selection
from gatekeeper.workspace.tree import Tree


def check_repository(request: CheckRequest, entry: CacheEntry | None) -> Verdict:
    """Checks a repository. Findings that the base commit has too are marked as preexisting.

    Args:
        entry: where to store the verdict; None to store nothing.
    """
    verdict = _check_incrementally(request, entry) if entry and entry.index_key else None
    if verdict is None:
        verdict = _check_all_files(request, entry)
    comparison = request.base_comparison
    if comparison is not None and verdict.active_findings:
        base_verdict = _check_base_commit(request, comparison)
        renames = git_history.list_renames(request.root, request.base_commit)
        is_cacheable = verdict.is_cacheable and base_verdict.is_cacheable
        verdict = impact.mark_preexisting(verdict, base_verdict, renames)._replace(is_cacheable=is_cacheable)
    if entry:
        entry.write_verdict(verdict)
    return verdict


def _check_incrementally(request: CheckRequest, entry: CacheEntry) -> Verdict | None:
    """The verdict by the changed files alone; None if the last run on everything does not know enough."""
    content = entry.cache.read_entry(entry.index_key)
    if content is None:
        return None
    index = incremental_index.from_bytes(content)
    listing, differing = entry.cache_input.git_listing, entry.cache_input.differing_files
    files = incremental_index.find_changed_files(index, listing, differing)
    if files is None:
        return None
    # The index of Git is checked, but files and policies are read from the work tree: they must be the same.
    read_paths = [*files, *impact.list_rule_paths(request.settings)]
    if request.staged and _has_unstaged_files(request.root, read_paths, listing):
        return None
    tree = Tree(request.root, sorted(files))
    options = CheckOptions(request.jobs, changed_files=request.changed_files, cache=entry.cache)
    return incremental.check_changed_files(tree, index, request.settings, options)


def _has_unstaged_files(root: Path, paths: Iterable[str], listing: bytes) -> bool:
    try:
        return git_state.has_unstaged_files(root, paths, listing)
    except GatekeeperError:
        return True


def _check_all_files(request: CheckRequest, entry: CacheEntry | None) -> Verdict:
    """The verdict of a full run; stores the index with which the next run checks only changed files."""
    options = CheckOptions(
        jobs=request.jobs,
        on_progress=partial(request.on_progress, pipeline.STEPS),
        changed_files=request.changed_files,
        cache=request.verdict_cache,
        shard=shards.parse(request.shard) if request.shard else shards.WHOLE_REPOSITORY,
        read_base_file=_make_base_file_reader(request),
        private_keys=request.private_keys,
    )
    if request.staged is None or _is_work_tree_staged(request):
        tree = file_selection.build_tree(
            request.paths, request.root, request.settings.exclude, request.settings.policies
        )
        return _check_tree(tree, request.settings, request, options, entry)
    with git_export.checkout_index(request.root) as copy:
        tree = file_selection.build_tree([copy], copy, request.settings.exclude, request.settings.policies)
        return _check_tree(tree, anchor_paths(request.settings, request.root), request, options, entry)


def _is_work_tree_staged(request: CheckRequest) -> bool:
    """Whether the check reads the same from the work tree as from the index."""
    state = git_state.read_state(request.root)
    if state is None or not state.is_equal_to_index:
        return False
    return not impact.is_any_within(impact.list_rule_paths(request.settings), state.ignored_files)


def _check_tree(
    tree: Tree, settings: Config, request: CheckRequest, options: CheckOptions, entry: CacheEntry | None
) -> Verdict:
    result = pipeline.check_and_render_tree(tree, settings, options)
    # Where files differ from Git's listing, the index would not be about that listing.
    if entry and entry.index_key and not entry.cache_input.differing_files:
        index = incremental.build_index(result, tree, request.settings, entry.cache_input.git_listing)
        if index is not None:
            entry.cache.write_entry(entry.index_key, incremental_index.to_bytes(index))
    return pipeline.filter_by_change(result, options.changed_files)


def _make_base_file_reader(request: CheckRequest) -> Callable[[str], bytes | None] | None:
    """What reads a changed file at the base commit; it returns None for files that are new or did not change."""
    if not request.base_commit or request.changed_files is None:
        return None
    changed_files, old_names = request.changed_files, git_history.list_renames(request.root, request.base_commit)
    return lambda file: (
        git_history.read_file_at_commit(request.root, request.base_commit, old_names.get(file, file))
        if file in changed_files
        else None
    )


def _check_base_commit(request: CheckRequest, comparison: BaseComparison) -> Verdict:
    """The verdict on the base commit, by its own config."""
    cache = request.verdict_cache
    key = verdict_cache.derive_commit_key(cache, request, comparison) if cache else ""
    content = cache.read_entry(key) if cache else None
    if content is not None:
        return verdict_codec.from_bytes(content)
    with git_export.checkout_commit(request.root, request.base_commit) as copy:
        own_settings = comparison.load_config(copy)
        settings = anchor_paths(own_settings, request.root)
        tree = file_selection.build_tree([copy], copy, settings.exclude, settings.policies)
        options = CheckOptions(request.jobs, partial(request.on_progress, pipeline.STEPS), cache=cache)
        verdict = pipeline.check_tree(tree, settings, options)
        # A config that names files outside the repository depends on more than the commit.
        if cache and verdict.is_cacheable and settings == own_settings:
            cache.write_entry(key, verdict_codec.to_bytes(verdict))
        return verdict
