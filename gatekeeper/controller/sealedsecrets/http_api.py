"""The HTTP API for `kubeseal`: fetch the certificate, verify a SealedSecret, and re-encrypt one.

Source: sealed-secrets `pkg/controller/server.go`. Upstream, anyone who reached the port could verify a value with a
template that reveals it, and re-encrypt a value with a wider scope (GHSA-465p-v42x-3fmj). Here only the API server may
use these two, on behalf of users with the right to use the proxy of the Service; no template is rendered, and the
scope stays that of the SealedSecret.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Sequence

import orjson

from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.sealedsecrets.key_registry import KeyRegistry
from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets import sealedsecret

# The rate limit for verifying and re-encrypting.
REQUESTS_PER_SECOND, BURST_REQUESTS = 2.0, 2.0
PEM_CONTENT_TYPE = "application/x-pem-file"
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class SealedSecretApi:
    """Handles the requests below `/v1/`.

    Args:
        get_allowed_networks: returns the networks of the API server.
    """

    def __init__(self, key_registry: KeyRegistry, get_allowed_networks: Callable[[], Networks]) -> None:
        self._key_registry, self._get_allowed_networks = key_registry, get_allowed_networks
        self._tokens, self._refilled_at = BURST_REQUESTS, time.monotonic()

    def handle_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response to a request; None for a path of another API.

        Raises:
            ToolError: the networks of the API server cannot be read.
        """
        if request.path == "/v1/cert.pem":
            newest = self._key_registry.newest
            return (
                HttpResponse(200, newest.pem, PEM_CONTENT_TYPE) if newest else HttpResponse(503, b"no key exists yet\n")
            )
        if request.path not in ("/v1/verify", "/v1/rotate"):
            return None
        if request.method != "POST":
            return HttpResponse(405, b"POST a SealedSecret\n")
        if not _is_within(request.client_address, self._get_allowed_networks()):
            return HttpResponse(403, b"only allowed through the API server: kubeseal --validate, --re-encrypt\n")
        if not self._take_token():
            return HttpResponse(429, b"too many requests\n")
        try:
            value = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return HttpResponse(400, b"the body is not valid JSON\n")
        if not isinstance(value, dict) or value.get("kind") != sealedsecret.KIND:
            return HttpResponse(400, b"the body is not a SealedSecret\n")
        return self._verify(value) if request.path == "/v1/verify" else self._rotate(value)

    def _verify(self, value: dict[str, object]) -> HttpResponse:
        for _ in sealedsecret.find_faults(value, self._key_registry.list_keys()):
            return HttpResponse(409)
        return HttpResponse(200)

    def _rotate(self, value: dict[str, object]) -> HttpResponse:
        newest = self._key_registry.newest
        if newest is None:
            return HttpResponse(503, b"no key exists yet\n")
        keys = self._key_registry.list_keys()
        try:
            resealed = {old: new for old, _, new in sealedsecret.reseal_values(value, keys, newest.certificate)}
        except SecretFileError:
            return HttpResponse(409)
        spec = dict(value["spec"])  # type: ignore[call-overload]
        spec["encryptedData"] = {key: resealed[text] or text for key, text in spec["encryptedData"].items()}
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
    """Return the addresses of the API server of a cluster.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    kind = Kind("discovery.k8s.io/v1", "endpointslices", True)
    slices = cluster.list(kind, "default", "kubernetes.io/service-name=kubernetes")
    endpoints = [endpoint for endpoint_slice in slices for endpoint in endpoint_slice.get("endpoints") or ()]
    return [ipaddress.ip_network(address) for endpoint in endpoints for address in endpoint.get("addresses") or ()]


def _is_within(address: str, networks: Networks) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
