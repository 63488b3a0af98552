"""One run of the gate: an earlier verdict where nothing changed, one by the changed files alone, or on everything."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper import config
from gatekeeper.gate import cache_key, shards, verdict_codec
from gatekeeper.host import cache, git_export, git_history, git_state
from gatekeeper.model import Verdict
from gatekeeper.secret_value import SecretBytes

if TYPE_CHECKING:
    from gatekeeper.gate import pipeline
    from gatekeeper.workspace import tree as workspace_tree

# Is told the steps that there are, the present one, and how much of it is done: a part from 0 to 1.
Progress = Callable[[Sequence[str], str, float], None]


class CheckRequest(NamedTuple):
    """What is asked.

    Attributes:
        is_staged: whether the index is judged, and not the work tree.
        base_commit: the commit that changes are told apart from; empty where there is none.
        changed_files: the files that differ from it; None to be told of everything.
        shard: the share, as `2/4`; empty for all.
        private_keys: texts with private keys, by name, where sealed files are to be opened; None where they are not.
    """

    root: Path
    paths: Sequence[Path]
    settings: config.Config
    on_progress: Progress
    is_staged: bool = False
    base_commit: str = ""
    changed_files: frozenset[str] | None = None
    shard: str = ""
    jobs: int = 1
    private_keys: Sequence[tuple[str, SecretBytes]] | None = None
    verdict_cache: cache.Cache | None = None


def check_repository(request: CheckRequest) -> Verdict:
    """The verdict of an earlier run on the same input, or a new one."""
    # What can be opened depends on keys, and they are on no list of what was judged.
    kept = request.verdict_cache if request.private_keys is None else None
    found = cache_key.collect_input(request.root, request.settings, request.is_staged) if kept is not None else None
    if kept is None or found is None:
        return _run_pipeline(request, None)
    day, config_ = str(datetime.date.today()).encode(), repr(request.settings).encode()
    asked = repr(
        (
            [str(path.resolve()) for path in request.paths],
            request.changed_files and sorted(request.changed_files),
            request.shard,
        )
    ).encode()
    key = kept.derive_key([b"verdict", day, config_, asked, request.base_commit.encode(), *found.digest_parts])
    held = kept.read_entry(key)
    if held is not None:
        return verdict_codec.from_bytes(held)
    is_whole = list(request.paths) == [request.root] and not request.shard
    book = (
        kept.derive_key([b"ledger", day, config_, str(request.root).encode(), *found.surrounding_inputs])
        if is_whole
        else ""
    )
    verdict = _check_incrementally(request, kept, found, book) if book else None
    if verdict is None:

        def note(whole: pipeline.FullResult, tree: workspace_tree.Tree) -> None:
            from gatekeeper.gate import incremental

            noted = incremental.build_index(whole, tree, request.settings, found.git_listing)
            if noted:
                kept.write_entry(book, noted)

        # What differs from Git's listing is not what the ledger would be of.
        is_known = bool(book) and not found.differing_files
        verdict = _run_pipeline(request, note if is_known else None)
    if verdict.is_cacheable:
        kept.write_entry(key, verdict_codec.to_bytes(verdict))
    return verdict


def _check_incrementally(
    request: CheckRequest, verdict_cache: cache.Cache, cache_input: cache_key.CacheInput, index_key: str
) -> Verdict | None:
    """The verdict by the changed files alone, where the last run on everything knows enough."""
    from gatekeeper.gate import incremental_index

    held = verdict_cache.read_entry(index_key)
    known = incremental_index.from_bytes(held) if held else None
    files = (
        incremental_index.find_changed_files(known, cache_input.git_listing, cache_input.differing_files)
        if known
        else None
    )
    # The index is judged: where the work tree differs from it, the file at hand is another.
    if known is None or files is None or (request.is_staged and git_state.has_unstaged_changes(request.root, files)):
        return None
    from gatekeeper.gate import incremental

    return incremental.check_files(
        request.root, known, files, request.changed_files, request.settings, request.jobs, verdict_cache
    )


def _run_pipeline(request: CheckRequest, observer: pipeline.Observer | None) -> Verdict:
    # What judges takes longer to load than to look up what is known.
    from gatekeeper.gate import pipeline
    from gatekeeper.workspace import tree as workspace_tree

    asked = pipeline.CheckOptions(
        request.jobs,
        partial(request.on_progress, pipeline.STEPS),
        None,
        request.changed_files,
        request.verdict_cache,
        shards.parse(request.shard) if request.shard else shards.WHOLE_REPOSITORY,
        _make_base_file_reader(request),
        _make_decryption_check(request),
    )

    def judge(root: Path, paths: Sequence[Path], settings: config.Config) -> Verdict:
        return pipeline.run_check(workspace_tree.build_tree(paths, root, settings.exclude), settings, asked, observer)

    if not request.is_staged or git_state.is_equal_to_index(request.root):
        return judge(request.root, request.paths, request.settings)
    with git_export.checkout_index(request.root) as copy:
        return judge(copy, [copy], config.anchor_paths(request.settings, request.root))


def _make_base_file_reader(request: CheckRequest) -> Callable[[str], bytes | None] | None:
    """What gives a changed file as it was at the base; None for files that are new, or did not change."""
    if not request.base_commit or request.changed_files is None:
        return None
    changed, old_names = request.changed_files, git_history.list_renames(request.root, request.base_commit)
    return lambda file: (
        git_history.read_file_at_commit(request.root, request.base_commit, old_names.get(file, file))
        if file in changed
        else None
    )


def _make_decryption_check(request: CheckRequest) -> pipeline.DecryptionCheck | None:
    if request.private_keys is None:
        return None
    from gatekeeper.engines.encrypted import decryption_check

    return partial(
        decryption_check.evaluate,
        private_keys=request.private_keys,
        jobs=request.jobs,
        toolchain=request.settings.toolchain,
    )


def check_commit(
    commit: str, request: CheckRequest, extra_paths: Sequence[Path], load_config: Callable[[Path], config.Config]
) -> Verdict:
    """What the repository was at a commit, by its own config then.

    Args:
        extra_paths: files and folders that the user names besides; they are of no commit.
        load_config: the settings of a copy of the repository.
    """
    # The commit says what its files are, its config among them: it has to be written out only to be judged.
    kept = request.verdict_cache
    asked = repr(
        (
            commit,
            str(datetime.date.today()),
            request.settings.engine,
            request.settings.toolchain,
            list(map(str, extra_paths)),
        )
    ).encode()
    contents = (one for path in extra_paths for one in cache_key.iterate_contents(path))
    key = kept.derive_key([b"commit", asked, *contents]) if kept else ""
    held = kept.read_entry(key) if kept else None
    if held is not None:
        return verdict_codec.from_bytes(held)
    from gatekeeper.gate import pipeline
    from gatekeeper.workspace import tree as workspace_tree

    with git_export.checkout_commit(request.root, commit) as copy:
        own = load_config(copy)
        settings = config.anchor_paths(own, request.root)
        tree = workspace_tree.build_tree([copy], copy, settings.exclude)
        verdict = pipeline.run_check(
            tree,
            settings,
            pipeline.CheckOptions(request.jobs, partial(request.on_progress, pipeline.STEPS), cache=kept),
        )
        # What lies outside of the repository is of no commit, and may be another tomorrow.
        if kept and verdict.is_cacheable and settings == own:
            kept.write_entry(key, verdict_codec.to_bytes(verdict))
        return verdict
