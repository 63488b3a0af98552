"""A change of a few files, judged by those files: the last run on everything knows the rest."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.engines.admission import engine
from gatekeeper.engines.references import exported_facts
from gatekeeper.gate import incremental_index, pipeline
from gatekeeper.gate.incremental_index import Ledger, Local
from gatekeeper.gate.pipeline import Whole
from gatekeeper.host.cache import Cache
from gatekeeper.model import Resource, Verdict
from gatekeeper.render import chart_uses
from gatekeeper.workspace.tree import Tree

WAIVER = b"gatekeeper:waive"


def judge(
    root: Path,
    known: Ledger,
    files: frozenset[str],
    changed: frozenset[str] | None,
    config: Config,
    jobs: int,
    cache: Cache,
) -> Verdict | None:
    """The verdict on a repository, or on a change of it; None where more than the files has to be judged.

    Args:
        files: those that differ from what the ledger knows.
        changed: those of the change that is told of; None for everything.
    """
    if not incremental_index.allows(known, files | (changed or frozenset())):
        return None
    tree = Tree(root, sorted(files))
    if any(WAIVER in content for file in files if isinstance(content := tree.read(file), bytes)):
        return None
    whole = pipeline.judge_all(tree, config, pipeline.Asked(jobs, cache=cache))
    resources = [resource for _, lot in whole.parts for resource in lot]
    if whole.lost or not all(map(exported_facts.is_alone, resources)) or whole.verdict.coverage.skipped:
        return None
    names = {file: _digest([one for one in resources if one.origin.file == file], known.names) for file in files}
    verdict = incremental_index.joined(known, files, whole.verdict, resources, names)
    return pipeline.told(verdict, changed, ()) if verdict is not None else None


def noted(whole: Whole, tree: Tree, config: Config, listing: bytes) -> bytes | None:
    """What a run on everything knows, for the next; None where nothing can be judged by itself."""
    verdict = whole.verdict
    resources = [resource for _, lot in whole.parts for resource in lot]
    waives = config.waivers in tree.files or (tree.root / config.baseline).exists()
    if not tree.is_whole or not verdict.lasts or waives or any(map(engine.is_policy, resources)):
        return None
    names = frozenset(exported_facts.provided(resources))
    folders = tuple(f"{folder}/".lstrip("/") for folder in chart_uses.folders(whole.sources))
    left_out = {gap.file for gap in verdict.coverage.skipped}
    local = {}
    for where, lot in whole.parts:
        stands_alone = where not in left_out and not (folders and where.startswith(folders))
        if lot and stands_alone and all(one.origin.file == where and exported_facts.is_alone(one) for one in lot):
            content = tree.read(where)
            if isinstance(content, bytes) and WAIVER not in content:
                local[where] = Local(_digest(lot, names), len(lot), len(lot))
    return incremental_index.to_bytes(Ledger(listing, local, verdict, tuple(sorted(names))))


def _digest(resources: list[Resource], names: frozenset[str] | tuple[str, ...]) -> str:
    words = frozenset(name.encode() for name in names)
    return incremental_index.digest(exported_facts.of(resource, words) for resource in resources)
