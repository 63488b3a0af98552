"""What is asked of a round of reconciling, what is applied in it, and what comes of that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gatekeeper.apply.prune_budget import Budget
from gatekeeper.apply.server_side_apply import Change, Gone
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.model import Verdict
from gatekeeper.secret_value import Hidden

Name = tuple[str, str]
Step = Literal["apply", "delete", "done"]


class Asked(NamedTuple):
    """A Kustomization as it stands in Git, and what it applies.

    Attributes:
        folder: which of the repository it applies.
        lost: why not all of it could be rendered; empty where it could.
        secret: values in it that came out of Secrets.
    """

    kustomization: Object
    folder: str
    objects: Sequence[Object]
    lost: str = ""
    secret: tuple[Hidden, ...] = ()

    @property
    def name(self) -> Name:
        """Namespace and name."""
        metadata = self.kustomization["metadata"]
        return metadata.get("namespace") or "default", metadata["name"]


class Done(NamedTuple):
    """What came of a Kustomization, or would."""

    asked: Asked
    outcome: Outcome
    changes: Sequence[Change] = ()
    gone: Sequence[Gone] = ()


class Act(NamedTuple):
    """What is about to be done with a Kustomization (`apply`, `delete`), or what came of it (`done`).

    Attributes:
        verdict: by which it is done; None where what it has applied goes with it.
        approved: the revision for which somebody has approved that much is taken away.
    """

    step: Step
    done: Done
    revision: str = ""
    verdict: Verdict | None = None
    approved: str = ""


class Round(NamedTuple):
    """What a round is asked.

    Attributes:
        revision: of the repository, as Flux writes it: `main@sha1:…`.
        approved: the revision for which somebody has approved that much is taken away.
        is_written: whether it is done, and not told only.
        stop: ends waiting, once it is set; what is being applied is applied.
        note: is told what will be done before it is, and what came of it; where it cannot note it, it is not done.
    """

    cluster: Objects
    verdict: Verdict
    revision: str
    budget: Budget
    approved: str
    is_written: bool
    stop: threading.Event
    note: Callable[[Act], None] = lambda act: None

    def act(self, step: Step, done: Done) -> None:
        """Notes a step.

        Raises:
            ToolError: it cannot be noted.
        """
        self.note(Act(step, done, self.revision, self.verdict, self.approved))


class Outcome(NamedTuple):
    """What came of a Kustomization: a word that Flux has for it, or one of ours, and a sentence."""

    is_ready: bool
    reason: str
    message: str
