"""Writing what was decided to a cluster: Secrets, and the status and events of ExternalSecrets."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from gatekeeper.cluster import object_status, secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets.cluster_state import CONCURRENT_REQUESTS, ClusterState, build_template_reader
from gatekeeper.externalsecrets.collection import RefusedObject
from gatekeeper.externalsecrets.decision import Decision, decide
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.fetch_plan import FetchResult
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.status import build_events, build_status
from gatekeeper.externalsecrets.target.ownership import build_field_manager, compute_creator_mark
from gatekeeper.model import NamespacedName, get_field

# The number of attempts to write a Secret that another client keeps changing.
MAX_TRIES = 3


class SecretWriter:
    """Writes the decisions of one sync.

    Args:
        started_at: when the sync began, in seconds since 1970.
    """

    def __init__(self, cluster: DynamicClient, state: ClusterState, fetched: FetchResult, started_at: float) -> None:
        self._cluster, self._state, self._fetched, self._started_at = cluster, state, fetched, started_at

    def write_all(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Write the Secrets, then status and events; return the decisions as they were carried out.

        A failure of one ExternalSecret becomes its decision and does not affect the others.
        """
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            return list(pool.map(self._write_and_report, decisions))

    def report_refusals(self, refusals: Iterable[RefusedObject]) -> None:
        """Write the status and events of ExternalSecrets that are refused.

        Raises:
            ToolError: the cluster refuses, or does not answer.
        """
        for refusal in refusals:
            spec = build_empty_spec(refusal.namespace, refusal.name)
            self._report(Decision(spec, "failed", refusal.reason))

    def _write_and_report(self, decision: Decision) -> Decision:
        try:
            decision = self._write(decision)
            self._report(decision)
        except GatekeeperError as error:
            return Decision(decision.spec, "failed", str(error), is_transient=True)
        return decision

    def _write(self, decision: Decision) -> Decision:
        cluster, spec = self._cluster, decision.spec
        for _ in range(MAX_TRIES):
            try:
                if decision.secret is not None:
                    manager = build_field_manager(spec)
                    secrets.write_secret(cluster, decision.secret, manager, decision.action == "create")
                elif decision.action == "delete":
                    secrets.delete_secret(cluster, *spec.target_key)
            except secrets.SecretConflictError:
                # Another client created or changed the Secret since it was read: decide again for its current state.
                existing = secrets.get_secret(cluster, *spec.target_key)
                decision = decide(spec, self._fetched, existing, build_template_reader(cluster, spec.namespace))
                continue
            except GatekeeperError as error:
                return Decision(spec, "failed", str(error), is_transient=True)
            if decision.action in ("create", "change", "unchanged"):
                self._delete_former_secrets(spec)
            return decision
        return Decision(spec, "failed", "another client keeps changing the Secret", is_transient=True)

    def _delete_former_secrets(self, spec: ExternalSecretSpec) -> None:
        """Delete the Secret that an ExternalSecret created before the name of its target was changed."""
        if spec.target.creation_policy != "Owner":
            return
        mark = NamespacedName(spec.namespace, compute_creator_mark(spec))
        for name in self._state.managed_secrets.get(mark, ()):
            if name != spec.target.name:
                secrets.delete_secret(self._cluster, spec.namespace, name)

    def _report(self, decision: Decision) -> None:
        """Write status and events, if the ExternalSecret is in the cluster."""
        value = self._state.objects.get(decision.spec.key)
        if value is None:
            return
        status = build_status(decision, value, self._started_at)
        if status != (get_field(value, ("status",)) or {}):
            object_status.write_status_if_current(self._cluster, value, status)
        object_status.create_events(self._cluster, value, build_events(decision, value), self._started_at)
