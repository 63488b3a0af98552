"""What applying an object does or did: the options it is applied with, and the resulting change.

Source: fluxcd/pkg `ssa/changeset.go` (actions), `ssa/manager_apply.go` (options).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Literal

from gatekeeper.apply.inventory import entry_of
from gatekeeper.model import FieldPath, Object
from gatekeeper.named_tuple import NamedTuple

FIELD_MANAGER = "gatekeeper"
# The field manager of statuses, for kinds without a status subresource.
STATUS_MANAGER = "gatekeeper-status"
ApplyAction = Literal["create", "configure", "unchanged", "skip", "failed"]


def _identity(value: Object) -> Object:
    return value


class ApplyOptions(NamedTuple):
    """How one object is applied.

    Attributes:
        adjusted: the object to apply instead of the one in Git; None for that one.
        is_skipped: whether the object is left as it is.
        is_forced: whether the object is deleted and created again where an immutable field changes.
        is_replaced: whether the whole object is replaced, so that fields of other managers are removed.
        should_adopt: whether fields that other field managers applied before are taken over.
        normalize: removes the fields that do not count as a difference.
    """

    adjusted: Object | None = None
    is_skipped: bool = False
    is_forced: bool = False
    is_replaced: bool = False
    should_adopt: bool = True
    normalize: Callable[[Object], Object] = _identity


# The options of an object, given the object in Git and in the cluster.
ApplyPolicy = Callable[[Object, Object | None], ApplyOptions]


class ChangeCause(Enum):
    """Why a change has its action, for code that decides by it; `ObjectChange.reason` is the text for readers."""

    NONE = "none"
    MISSING_KIND = "missing kind"
    MISSING_NAMESPACE = "missing namespace"
    DEPENDENCY_IN_SAME_RUN = "dependency in the same run"
    TAKEOVER = "takeover"
    RECREATE = "recreate"
    STAGE_FAILED = "stage failed"


# The dry run of the object is impossible before another object exists.
MISSING_DEPENDENCY = (ChangeCause.MISSING_KIND, ChangeCause.MISSING_NAMESPACE)


class ObjectChange(NamedTuple):
    """What applying one object does or did.

    Attributes:
        value: the object that is applied.
        reason: why, where the action does not say it.
        fields: the fields that differ.
        changed_by: the field manager that changed them last.
        live: the object in the cluster; None if it does not exist or could not be read.
        cause: why, for code that decides by it.
    """

    value: Object
    action: ApplyAction
    reason: str = ""
    fields: tuple[FieldPath, ...] = ()
    changed_by: str = ""
    live: Object | None = None
    options: ApplyOptions = ApplyOptions()
    cause: ChangeCause = ChangeCause.NONE

    def __str__(self) -> str:
        return str(entry_of(self.value))

    @property
    def is_write(self) -> bool:
        """Whether the change writes to the cluster."""
        return self.action in ("create", "configure")


def list_failed(changes: Iterable[ObjectChange | None]) -> list[ObjectChange]:
    """The changes that failed."""
    return [change for change in changes if change is not None and change.action == "failed"]
