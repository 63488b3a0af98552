"""Reading the stores for ExternalSecrets and deciding what to do for each; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gatekeeper.externalsecrets.cluster_state import ClusterState, build_template_reader
from gatekeeper.externalsecrets.collection import RefusedObject
from gatekeeper.externalsecrets.decision import Decision, decide
from gatekeeper.externalsecrets.fetch_plan import FetchPlan, FetchResult, StoreKey, build_plan, fetch
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores.protocol import Store


class SyncResult(NamedTuple):
    """The result of one sync.

    Attributes:
        new_refusals: the refused objects that the previous sync did not refuse for the same reason.
    """

    plan: FetchPlan
    fetched: FetchResult
    decisions: list[Decision]
    new_refusals: Sequence[RefusedObject] = ()


def fetch_and_decide(
    state: ClusterState, specs: list[ExternalSecretSpec], open_store: Callable[[StoreKey], Store]
) -> SyncResult:
    """Read each secret once, and decide for each ExternalSecret.

    Args:
        open_store: returns an open store.
    """
    plan = build_plan(specs)
    fetched = fetch(plan, open_store)
    # Another program renders the templates; more threads than cores would only wait for it.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return SyncResult(plan, fetched, list(pool.map(partial(decide_one, state, fetched), specs)))


def decide_one(state: ClusterState, fetched: FetchResult, spec: ExternalSecretSpec) -> Decision:
    """Decide for one ExternalSecret, given the Secret at the start of the sync."""
    existing = state.secrets.get(spec.target_key)
    return decide(spec, fetched, existing, build_template_reader(state.cluster, spec.namespace))
