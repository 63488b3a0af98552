"""What `kubeseal` asks the controller over HTTP: its certificate, whether something opens, and to seal it anew.

Source: sealed-secrets `pkg/controller/server.go`. There whoever reached the port could ask whether a text opens, with a
template of his own that tells of its value, and have it sealed anew under a wider scope (GHSA-465p-v42x-3fmj). Here
the two are answered to the API server alone, which asks for whoever may use the Service's proxy; no template is
filled, and the scope is that of the SealedSecret itself.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Sequence

import orjson

from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.sealedsecrets.key_registry import KeyRegistry
from gatekeeper.errors import SealError
from gatekeeper.sealedsecrets import sealedsecret

# As many questions a second, and at once.
REQUESTS_PER_SECOND, BURST_REQUESTS = 2.0, 2.0
PEM_CONTENT_TYPE = "application/x-pem-file"
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class SealedSecretApi:
    """Answers `/v1/…`.

    Args:
        asks: the networks that the API server asks from.
    """

    def __init__(self, key_registry: KeyRegistry, get_allowed_networks: Callable[[], Networks]) -> None:
        self._key_registry, self._get_allowed_networks = key_registry, get_allowed_networks
        self._tokens, self._refilled_at = BURST_REQUESTS, time.monotonic()

    def handle_request(self, request: HttpRequest) -> HttpResponse | None:
        """The answer to a request; None where it is about something else."""
        if request.path == "/v1/cert.pem":
            newest = self._key_registry.newest
            return (
                HttpResponse(200, newest.pem, PEM_CONTENT_TYPE)
                if newest
                else HttpResponse(503, b"there is no key yet\n")
            )
        if request.path not in ("/v1/verify", "/v1/rotate"):
            return None
        if request.method != "POST":
            return HttpResponse(405, b"POST a SealedSecret\n")
        if not _is_within(request.client_address, self._get_allowed_networks()):
            return HttpResponse(403, b"ask through the API server: kubeseal --validate, --re-encrypt\n")
        if not self._take_token():
            return HttpResponse(429, b"too many at once\n")
        try:
            value = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return HttpResponse(400, b"is no JSON\n")
        if not isinstance(value, dict) or value.get("kind") != sealedsecret.KIND:
            return HttpResponse(400, b"is no SealedSecret\n")
        return self._verify(value) if request.path == "/v1/verify" else self._rotate(value)

    def _verify(self, value: dict[str, object]) -> HttpResponse:
        for _ in sealedsecret.find_faults(value, self._key_registry.list_keys()):
            return HttpResponse(409)
        return HttpResponse(200)

    def _rotate(self, value: dict[str, object]) -> HttpResponse:
        newest = self._key_registry.newest
        if newest is None:
            return HttpResponse(503, b"there is no key yet\n")
        try:
            new = {
                old: text
                for old, _, text in sealedsecret.reseal_values(
                    value, self._key_registry.list_keys(), newest.certificate
                )
            }
        except SealError:
            return HttpResponse(409)
        spec = dict(value["spec"])  # type: ignore[call-overload]
        spec["encryptedData"] = {key: new[text] or text for key, text in spec["encryptedData"].items()}
        return HttpResponse(200, orjson.dumps({**value, "spec": spec}), "application/json")

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens, self._refilled_at = (
            min(BURST_REQUESTS, self._tokens + (now - self._refilled_at) * REQUESTS_PER_SECOND),
            now,
        )
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def list_api_server_networks(cluster: DynamicClient) -> Networks:
    """The addresses of a cluster's API server, as it tells them itself.

    Raises:
        ToolError: the cluster does not tell.
    """
    kind = Kind("discovery.k8s.io/v1", "endpointslices", True)
    slices = cluster.list(kind, "default", "kubernetes.io/service-name=kubernetes")
    addresses = [text for one in slices for part in one.get("endpoints") or () for text in part.get("addresses") or ()]
    return [ipaddress.ip_network(text) for text in addresses]


def _is_within(address: str, networks: Networks) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
