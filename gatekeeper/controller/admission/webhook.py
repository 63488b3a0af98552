"""The admission webhook as a part of the controller: its server with TLS, its certificate, and its policies."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.controller.admission.certificates import Certificates
from gatekeeper.controller.admission.review import Admission
from gatekeeper.controller.runtime.http_server import Server
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.controller.runtime.worker import Loop

# So often it is looked whether the files of the policies are others.
REFRESH = 10.0


class Webhook:
    """Every replica answers, whoever leads.

    Raises:
        ToolError: there is no certificate, and none can be made.
    """

    def __init__(
        self,
        admission: Admission,
        certificates: Callable[[Callable[[], None]], Certificates],
        address: tuple[str, int],
        figures: Figures,
    ) -> None:
        self._admission = admission
        self._certificates = certificates(lambda: self.server.renew())
        self._loop = Loop[str]("webhook", self._look, 2, figures)
        self._certificates.look()
        self.server = Server(address, [admission.answer], self._certificates.files)

    is_synced = True

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""
        return self._loop.is_alive

    def start(self) -> None:
        """Begins to look after certificate and policies."""
        self._loop.start()
        self._loop.add("certificate")
        self._loop.add("policies")

    def all(self) -> None:
        """Nothing is shared out here."""

    def stop(self, seconds: float) -> bool:
        """Ends; whether in time."""
        is_ended = self._loop.stop(seconds)
        self._certificates.close()
        return is_ended

    def _look(self, what: str) -> float:
        if what == "certificate":
            return self._certificates.look()
        self._admission.refresh()
        return REFRESH
