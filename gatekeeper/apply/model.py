"""What is asked of a round of reconciling, what is applied in it, and what comes of that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.apply.server_side_apply import ObjectChange, PruneResult
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.model import Verdict
from gatekeeper.secret_value import SecretBytes

KustomizationName = tuple[str, str]
AuditStep = Literal["apply", "delete", "done"]


class KustomizationBuild(NamedTuple):
    """A Kustomization as it stands in Git, and what it applies.

    Attributes:
        folder: which of the repository it applies.
        render_error: why not all of it could be rendered; empty where it could.
        secret_values: values in it that came out of Secrets.
    """

    kustomization: Object
    folder: str
    objects: Sequence[Object]
    render_error: str = ""
    secret_values: tuple[SecretBytes, ...] = ()

    @property
    def name(self) -> KustomizationName:
        """Namespace and name."""
        metadata = self.kustomization["metadata"]
        return metadata.get("namespace") or "default", metadata["name"]


class ReconcileResult(NamedTuple):
    """What came of a Kustomization, or would."""

    build: KustomizationBuild
    outcome: ReconcileOutcome
    changes: Sequence[ObjectChange] = ()
    pruned: Sequence[PruneResult] = ()


class AuditEvent(NamedTuple):
    """What is about to be done with a Kustomization (`apply`, `delete`), or what came of it (`result`).

    Attributes:
        verdict: by which it is done; None where what it has applied goes with it.
        approved_revision: the revision for which somebody has approved that much is taken away.
    """

    step: AuditStep
    result: ReconcileResult
    revision: str = ""
    verdict: Verdict | None = None
    approved_revision: str = ""


class ReconcileContext(NamedTuple):
    """What a round is asked.

    Attributes:
        revision: of the repository, as Flux writes it: `main@sha1:…`.
        approved_revision: the revision for which somebody has approved that much is taken away.
        should_write: whether it is done, and not told only.
        stop_event: ends waiting, once it is set; what is being applied is applied.
        record: is told what will be done before it is, and what came of it; where it cannot note it, it is not done.
    """

    cluster: DynamicClient
    verdict: Verdict
    revision: str
    budget: PruneBudget
    approved_revision: str
    should_write: bool
    stop_event: threading.Event
    record: Callable[[AuditEvent], None] = lambda act: None

    def record_step(self, step: AuditStep, result: ReconcileResult) -> None:
        """Notes a step.

        Raises:
            ToolError: it cannot be noted.
        """
        self.record(AuditEvent(step, result, self.revision, self.verdict, self.approved_revision))


class ReconcileOutcome(NamedTuple):
    """What came of a Kustomization: a word that Flux has for it, or one of ours, and a sentence."""

    is_ready: bool
    reason: str
    message: str
