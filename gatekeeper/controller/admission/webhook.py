"""The admission webhook as a part of the controller: its server with TLS, its certificate, and its policies."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.controller.admission.certificates import WebhookCertificates
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.runtime.http_server import HttpServer
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker

# So often it is looked whether the files of the policies are others.
POLICY_REFRESH_SECONDS = 10.0


class AdmissionWebhook:
    """Every replica answers, whoever leads.

    Raises:
        ToolError: there is no certificate, and none can be made.
    """

    def __init__(
        self,
        reviewer: AdmissionReviewer,
        create_certificates: Callable[[Callable[[], None]], WebhookCertificates],
        address: tuple[str, int],
        metrics: Metrics,
    ) -> None:
        self._reviewer = reviewer
        self._certificates = create_certificates(lambda: self.server.reload_certificate())
        self._worker = Worker[str]("webhook", self._run_task, 2, metrics)
        self._certificates.ensure_certificate()
        self.server = HttpServer(address, [reviewer.handle_request], self._certificates.files)

    is_synced = True

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""
        return self._worker.is_alive

    def start(self) -> None:
        """Begins to look after certificate and policies."""
        self._worker.start()
        self._worker.add("certificate")
        self._worker.add("policies")

    def enqueue_all(self) -> None:
        """Nothing is shared out here."""

    def stop(self, timeout_seconds: float) -> bool:
        """Ends; whether in time."""
        is_ended = self._worker.stop(timeout_seconds)
        self._certificates.close()
        return is_ended

    def _run_task(self, task: str) -> float:
        if task == "certificate":
            return self._certificates.ensure_certificate()
        self._reviewer.reload_if_changed()
        return POLICY_REFRESH_SECONDS
