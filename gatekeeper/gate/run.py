"""One run of the gate: an earlier verdict where nothing changed, one by the changed files alone, or on everything."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper import config
from gatekeeper.gate import cache_key, shards, verdict_codec
from gatekeeper.host import cache, git
from gatekeeper.model import Verdict
from gatekeeper.secret_value import Hidden

if TYPE_CHECKING:
    from gatekeeper.gate import pipeline
    from gatekeeper.workspace import tree as workspace_tree

# Is told the steps that there are, the present one, and how much of it is done: a part from 0 to 1.
Say = Callable[[Sequence[str], str, float], None]


class Run(NamedTuple):
    """What is asked.

    Attributes:
        staged: whether the index is judged, and not the work tree.
        base: the commit that changes are told apart from; empty where there is none.
        changed: the files that differ from it; None to be told of everything.
        shard: the share, as `2/4`; empty for all.
        keys: texts with private keys, by name, where sealed files are to be opened; None where they are not.
    """

    root: Path
    paths: Sequence[Path]
    settings: config.Config
    say: Say
    staged: bool = False
    base: str = ""
    changed: frozenset[str] | None = None
    shard: str = ""
    jobs: int = 1
    keys: Sequence[tuple[str, Hidden]] | None = None
    kept: cache.Cache | None = None


def verdict_of(run: Run) -> Verdict:
    """The verdict of an earlier run on the same input, or a new one."""
    # What can be opened depends on keys, and they are on no list of what was judged.
    kept = run.kept if run.keys is None else None
    found = cache_key.of(run.root, run.settings, run.staged) if kept is not None else None
    if kept is None or found is None:
        return _judged(run, None)
    day, config_ = str(datetime.date.today()).encode(), repr(run.settings).encode()
    asked = repr(([str(path.resolve()) for path in run.paths], run.changed and sorted(run.changed), run.shard)).encode()
    key = kept.key([b"verdict", day, config_, asked, run.base.encode(), *found.parts])
    held = kept.read(key)
    if held is not None:
        return verdict_codec.from_bytes(held)
    is_whole = list(run.paths) == [run.root] and not run.shard
    book = kept.key([b"ledger", day, config_, str(run.root).encode(), *found.around]) if is_whole else ""
    verdict = _quickly(run, kept, found, book) if book else None
    if verdict is None:

        def note(whole: pipeline.Whole, tree: workspace_tree.Tree) -> None:
            from gatekeeper.gate import incremental

            noted = incremental.noted(whole, tree, run.settings, found.listing)
            if noted:
                kept.write(book, noted)

        # What differs from Git's listing is not what the ledger would be of.
        is_known = bool(book) and not found.differing
        verdict = _judged(run, note if is_known else None)
    if verdict.lasts:
        kept.write(key, verdict_codec.to_bytes(verdict))
    return verdict


def _quickly(run: Run, kept: cache.Cache, found: cache_key.Input, book: str) -> Verdict | None:
    """The verdict by the changed files alone, where the last run on everything knows enough."""
    from gatekeeper.gate import incremental_index

    held = kept.read(book)
    known = incremental_index.from_bytes(held) if held else None
    files = incremental_index.changed(known, found.listing, found.differing) if known else None
    # The index is judged: where the work tree differs from it, the file at hand is another.
    if known is None or files is None or (run.staged and git.differs(run.root, files)):
        return None
    from gatekeeper.gate import incremental

    return incremental.judge(run.root, known, files, run.changed, run.settings, run.jobs, kept)


def _judged(run: Run, note: pipeline.Note | None) -> Verdict:
    # What judges takes longer to load than to look up what is known.
    from gatekeeper.gate import pipeline
    from gatekeeper.host import lockfile, toolchain
    from gatekeeper.workspace import tree as workspace_tree

    toolchain.follow(lockfile.load(run.root))
    asked = pipeline.Asked(
        run.jobs,
        partial(run.say, pipeline.STEPS),
        None,
        run.changed,
        run.kept,
        shards.parse(run.shard) if run.shard else shards.WHOLE,
        _before(run),
        _opening(run),
    )

    def judge(root: Path, paths: Sequence[Path], settings: config.Config) -> Verdict:
        return pipeline.judge(workspace_tree.gather(paths, root, settings.exclude), settings, asked, note)

    if not run.staged or git.is_as_staged(run.root):
        return judge(run.root, run.paths, run.settings)
    with git.index(run.root) as copy:
        return judge(copy, [copy], config.anchored(run.settings, run.root))


def _before(run: Run) -> Callable[[str], bytes | None] | None:
    """What gives a changed file as it was at the base; None for files that are new, or did not change."""
    if not run.base or run.changed is None:
        return None
    changed, old_names = run.changed, git.renames(run.root, run.base)
    return lambda file: git.file_at(run.root, run.base, old_names.get(file, file)) if file in changed else None


def _opening(run: Run) -> pipeline.Opening | None:
    if run.keys is None:
        return None
    from gatekeeper.engines.encrypted import decryption_check

    return partial(decryption_check.judge, texts=run.keys, jobs=run.jobs)


def at_commit(commit: str, run: Run, named: Sequence[Path], load: Callable[[Path], config.Config]) -> Verdict:
    """What the repository was at a commit, by its own config then.

    Args:
        named: files and folders that the user names besides; they are of no commit.
        load: the settings of a copy of the repository.
    """
    # The commit says what its files are, its config among them: it has to be written out only to be judged.
    kept = run.kept
    asked = repr((commit, str(datetime.date.today()), run.settings.engine, list(map(str, named)))).encode()
    contents = (one for path in named for one in cache_key.contents_of(path))
    key = kept.key([b"commit", asked, *contents]) if kept else ""
    held = kept.read(key) if kept else None
    if held is not None:
        return verdict_codec.from_bytes(held)
    from gatekeeper.gate import pipeline
    from gatekeeper.workspace import tree as workspace_tree

    with git.commit(run.root, commit) as copy:
        own = load(copy)
        settings = config.anchored(own, run.root)
        tree = workspace_tree.gather([copy], copy, settings.exclude)
        verdict = pipeline.judge(tree, settings, pipeline.Asked(run.jobs, partial(run.say, pipeline.STEPS), cache=kept))
        # What lies outside of the repository is of no commit, and may be another tomorrow.
        if kept and verdict.lasts and settings == own:
            kept.write(key, verdict_codec.to_bytes(verdict))
        return verdict
