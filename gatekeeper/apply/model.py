"""The input and the results of reconciling one Kustomization or Application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.prune import PruneResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, Toolchain
from gatekeeper.model import NamespacedName, Object, Verdict, name_of
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

# `apply` and `delete` come before the writes, `done` after the last one.
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
    def name(self) -> NamespacedName:
        """Namespace and name."""
        return name_of(self.parent, "default")


class ReconcileOutcome(NamedTuple):
    """The outcome of a reconcile, as the Ready condition shows it.

    Attributes:
        reason: a CamelCase reason of Flux or Argo CD, or one of ours.
        message: a sentence for readers.
    """

    is_ready: bool
    reason: str
    message: str

    @classmethod
    def ready(cls, reason: str, message: str) -> ReconcileOutcome:
        """Everything is applied, or nothing is to be done."""
        return cls(True, reason, message)

    @classmethod
    def failed(cls, reason: str, message: str) -> ReconcileOutcome:
        """Something was refused, held, delayed, or is broken."""
        return cls(False, reason, message)


class ReconcileResult(NamedTuple):
    """What a reconcile did, or would do in a dry run."""

    build: ApplySet
    outcome: ReconcileOutcome
    changes: Sequence[ObjectChange] = ()
    pruned: Sequence[PruneResult] = ()


class AuditEvent(NamedTuple):
    """A step of a reconcile, for the audit log.

    Attributes:
        verdict: the verdict that allows the step; None if the Kustomization or Application is deleted itself.
        approved_revision: the revision for which a prune beyond the budget is approved; empty for none.
    """

    step: AuditStep
    result: ReconcileResult
    revision: str = ""
    verdict: Verdict | None = None
    approved_revision: str = ""


class ReconcileContext(NamedTuple):
    """The input of a reconcile, except for the objects.

    Attributes:
        revision: the revision of the repository, as Flux writes it: `main@sha1:…`.
        approved_revision: the revision for which a prune beyond the budget is approved; empty for none.
        should_write: False for a dry run.
        stop_event: ends the wait for health; what is being applied is finished.
        record: called before each write and after the last; where it raises, nothing is written.
    """

    cluster: DynamicClient
    verdict: Verdict
    revision: str
    budget: PruneBudget
    approved_revision: str
    should_write: bool
    stop_event: threading.Event
    record: Callable[[AuditEvent], None] = lambda event: None

    def record_step(self, step: AuditStep, result: ReconcileResult) -> None:
        """Records a step in the audit log.

        Raises:
            ToolError: the step cannot be recorded, and must not be taken.
        """
        self.record(AuditEvent(step, result, self.revision, self.verdict, self.approved_revision))
