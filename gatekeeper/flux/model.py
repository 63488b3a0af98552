"""A Flux Kustomization that is being applied, and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Asked, Done, Name
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.flux.kustomization_spec import Check
from gatekeeper.model import at

VERSIONS = ("v1", "v1beta2", "v1beta1")


class Begun(NamedTuple):
    """A Kustomization that is applied, and what of it is not there yet.

    Attributes:
        there: the cluster, with the rights that it is applied with.
        live: the Kustomization as it was read; None where the cluster has none.
        held: what is applied now.
        checks: what is waited for; with none all is told already.
        timeout: seconds.
    """

    done: Done
    there: Objects
    live: Object | None
    held: Sequence[Entry]
    checks: Sequence[Check] = ()
    timeout: float = 0.0
    began: float = 0.0


def needs(asked: Asked) -> list[Name]:
    """What a Kustomization depends on, by namespace and name."""
    listed = at(asked.kustomization, ("spec", "dependsOn")) or ()
    return [(one.get("namespace") or asked.name[0], one["name"]) for one in listed]
