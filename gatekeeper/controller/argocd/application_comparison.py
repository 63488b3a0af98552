"""Comparisons of Applications with Git, and how long each of them holds."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import comparison
from gatekeeper.controller.argocd import sync_plan
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.controller.argocd.operation_runner import OperationProgress
from gatekeeper.named_tuple import NamedTuple

# How often an Application is compared without a change; in another cluster changes are not watched.
RESYNC_SECONDS, REMOTE_RESYNC_SECONDS = 600.0, 180.0
JITTER = 0.1


class Comparison(NamedTuple):
    """The last comparison of an Application.

    Attributes:
        expires_at: when it must be repeated, by the monotonic clock.
    """

    fingerprint: object
    objects: list[ComparedObject]
    expires_at: float

    def is_current(self, fingerprint: object) -> bool:
        """Whether it still holds for a fingerprint."""
        return self.fingerprint == fingerprint and time.monotonic() <= self.expires_at


def compare_application(context: ApplicationContext) -> list[ComparedObject]:
    """Compare all objects of an Application, with the Namespace that a sync would create.

    Raises:
        SpecError: an object has an unknown sync option, or a jq expression is invalid.
        ToolError: the cluster does not answer.
    """
    marked = context.environment.list_managed(context.target.instance_name) if context.is_in_cluster else ()
    previous = comparison.list_tracked_entries(context.manifest, marked)
    policy = comparison.build_apply_policy(context.build, context.options)
    namespaces = sync_plan.build_namespaces(context)
    objects = comparison.compare_objects(context.target, [*context.resources, *namespaces], previous, policy)
    # That Namespace makes the dry run of its objects possible, but is not an object of the Application.
    names = {namespace["metadata"]["name"] for namespace in namespaces}
    return [
        compared for compared in objects if not (compared.entry.kind == "Namespace" and compared.entry.name in names)
    ]


def compare_after_sync(progress: OperationProgress, objects: Sequence[ComparedObject]) -> list[ComparedObject]:
    """Update a comparison after a sync; a failed or superseded one needs a new comparison.

    Raises:
        SpecError, ToolError: see `compare_application`.
    """
    context, state = progress.context, progress.state
    if state is None or state.phase != "Succeeded" or not progress.is_current:
        return compare_application(context)
    scripts = context.target.tracking.health_scripts
    return comparison.settle_objects(context.destination_client, objects, state.results, scripts)


def compute_expiry(context: ApplicationContext) -> float:
    """Return when a comparison made now must be repeated, by the monotonic clock."""
    seconds = RESYNC_SECONDS if context.is_in_cluster else REMOTE_RESYNC_SECONDS
    return time.monotonic() + seconds * random.uniform(1 - JITTER, 1 + JITTER)
