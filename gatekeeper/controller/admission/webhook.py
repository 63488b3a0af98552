"""The admission webhook: its HTTPS server, its certificate and the reload of its policies."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.controller.admission.certificates import WebhookCertificates
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.http_server import HttpServer
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker

# How often the policy files are checked for changes.
POLICY_REFRESH_SECONDS = 10.0


class AdmissionWebhook:
    """Answers the API server on every replica, with or without a Lease.

    Args:
        create_certificates: builds the certificate store, given what to call after a renewal.

    Raises:
        ToolError: there is no certificate and none can be issued.
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
        self._certificates.ensure_certificate()
        self.server = HttpServer(address, [reviewer.handle_request], self._certificates.files)
        worker = Worker[str]("webhook", self._run_task, 2, metrics)
        for task in ("certificate", "policies"):
            worker.add(task)
        self.component = Component([worker], on_stop=self._certificates.close)

    def _run_task(self, task: str) -> float:
        if task == "certificate":
            return self._certificates.ensure_certificate()
        self._reviewer.reload_if_changed()
        return POLICY_REFRESH_SECONDS
