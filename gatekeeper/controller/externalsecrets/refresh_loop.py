"""The loop that syncs ExternalSecrets continuously, for the controller and for `sync --watch`."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import FailureReporter, Worker, log_failure

CONTROLLER_NAME = "ExternalSecret"
# A round (one sync) covers all ExternalSecrets, so the queue has only this key, unlike other controllers. A secret that
# several ExternalSecrets use is read once per round, and one request reads many secrets; with one key per
# ExternalSecret each of them would read its secrets by itself.
ROUND_KEY = "all"
# Changes within this time are handled in one round.
BATCH_SECONDS = 0.1


class RefreshLoop:
    """Runs rounds, with back-off after a failure.

    Args:
        run_round: runs one round; returns the seconds until the next one is due.
        is_assigned: whether this replica is responsible for the rounds.
        report_failure: called after each failed round.
    """

    def __init__(
        self,
        run_round: Callable[[], float],
        metrics: Metrics,
        is_assigned: Callable[[str], bool] = lambda name: True,
        report_failure: FailureReporter = log_failure,
    ) -> None:
        self.worker = Worker[str](
            CONTROLLER_NAME, lambda name: run_round(), 1, metrics, is_assigned, report_failure=report_failure
        )

    def request_round(self) -> None:
        """Run a round soon, even if nothing is due."""
        self.worker.add(ROUND_KEY, BATCH_SECONDS)
