"""What is asked of a round of reconciling, what is applied in it, and what comes of that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.apply.server_side_apply import ObjectChange, PruneResult
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.model import Verdict
from gatekeeper.secret_value import SecretBytes

ParentName = tuple[str, str]
AuditStep = Literal["apply", "delete", "done"]


class ApplySet(NamedTuple):
    """A Kustomization or Application, and the objects it applies.

    Attributes:
        parent: the Kustomization or Application, as in Git or in the cluster.
        folder: the folder of the repository that it applies; that of the first source if there are several.
        render_error: why not everything could be rendered; empty if it could.
        secret_values: values in the objects that came from Secrets.
        toolchain: the programs of its repository.
    """

    parent: Object
    folder: str
    objects: Sequence[Object]
    render_error: str = ""
    secret_values: tuple[SecretBytes, ...] = ()
    toolchain: Toolchain = DEFAULT_TOOLCHAIN

    @property
    def name(self) -> ParentName:
        """Namespace and name."""
        metadata = self.parent["metadata"]
        return metadata.get("namespace") or "default", metadata["name"]


class ReconcileResult(NamedTuple):
    """What came of a Kustomization, or would."""

    build: ApplySet
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
