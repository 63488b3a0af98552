"""The request for one run of the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.host import git_state
from gatekeeper.host.cache import Cache
from gatekeeper.host.git_state import StagedState, WorkTreeState
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

# Receives all steps of the run, the present one, and the part of it that is done, from 0 to 1.
Progress = Callable[[Sequence[str], str, float], None]


class BaseComparison(NamedTuple):
    """How to check the base commit of a change, to distinguish its findings from those of the change.

    Attributes:
        load_config: returns the config of a checkout of the base commit.
        extra_paths: files and folders that the user named on the command line; they are in no commit.
    """

    load_config: Callable[[Path], Config]
    extra_paths: Sequence[Path] = ()


class CheckRequest(NamedTuple):
    """The files of a run, and its options.

    Attributes:
        root: the root of the repository.
        paths: the files and folders to check.
        staged: the index of Git, which is checked instead of the work tree; None for the work tree.
        base_commit: the commit before the change; empty if no change is checked.
        base_comparison: how to check `base_commit`; None if old findings count like new ones.
        changed_files: the files that differ from `base_commit`; None to report everything.
        shard: the share of this run, such as `2/4`; empty for all.
        jobs: the number of threads.
        private_keys: private keys of sealed-secrets by name, to decrypt with; None to decrypt nothing.
        verdict_cache: verdicts of earlier runs; None to use none.
        read_state: reads the state of the work tree.
    """

    root: Path
    paths: Sequence[Path]
    settings: Config
    on_progress: Progress
    staged: StagedState | None = None
    base_commit: str = ""
    base_comparison: BaseComparison | None = None
    changed_files: frozenset[str] | None = None
    shard: str = ""
    jobs: int = 1
    private_keys: Sequence[tuple[str, SecretBytes]] | None = None
    verdict_cache: Cache | None = None
    read_state: Callable[[Path], WorkTreeState | None] = git_state.read_state
