"""A real API server's answers to the creation of objects, as a dry run with strict field validation."""

from __future__ import annotations

import http.client
import re
import ssl
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orjson

from tests.servers import cluster

CONNECTIONS = 8
# What depends on the state or the settings of a cluster is switched off, or set to accept the most:
OPTIONS = (
    # IPv4 and IPv6, so that both families may be asked for.
    "--service-cluster-ip-range",
    "10.0.0.0/16,fd00::/108",
    # As in every cluster that runs a network plugin.
    "--allow-privileged",
)
# Admission that looks at other objects: namespaces, priority classes, runtime classes, storage classes.
DISABLED = (
    cluster.DISABLE,
    "ServiceAccount,NamespaceLifecycle,Priority,RuntimeClass,DefaultStorageClass,DefaultIngressClass,LimitRanger,"
    "ResourceQuota,PersistentVolumeClaimResize,CertificateApproval,CertificateSigning,PodSecurity",
)
# Every API version that the server has, also those that are off by default.
EVERY_VERSION = ("--runtime-config", "api/all=true")
# RFC 7234, section 5.5.
WARNING, ESCAPE = re.compile(r'299 \S+ "(.*)"'), re.compile(r"\\(.)")
STRICT_FIELD = re.compile(r'(unknown|duplicate) field \\?"((?:[^"\\]|\\.)*?)\\?"')


class ServerAnswer(NamedTuple):
    """What the API server answered: its status, its message, (type, field) of each cause, and its warnings."""

    status: int
    message: str
    causes: frozenset[tuple[str, str]]
    warnings: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether the server would create the object."""
        return self.status in (200, 201)


class ApiServer:
    """Answers whether objects would be created."""

    def __init__(self, machine: cluster.Cluster) -> None:
        self._address = urlsplit(machine.url).netloc
        self._context = ssl.create_default_context(cafile=str(machine.certificate))
        self._local = threading.local()
        self._connections: list[http.client.HTTPSConnection] = []
        self.machine = machine
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def discover(self, api_version: str) -> None:
        """Learns the resources of an API version."""
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        status, value = self.machine.ask("GET", base)
        assert status == 200, f"{api_version}: {value!r}"
        for one in value["resources"]:
            if "/" not in one["name"]:
                self._resources[api_version, one["kind"]] = (f"{base}|{one['name']}", one["namespaced"])

    def create_all(self, values: Sequence[Any]) -> list[ServerAnswer]:
        """The answers for objects, in their order."""
        try:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                return list(pool.map(self._create, values))
        finally:
            while self._connections:
                self._connections.pop().close()

    def create(self, value: Any) -> None:
        """Creates an object, and fails if the server refuses it."""
        self.machine.make(self._build_path(value), value)

    def _create(self, value: Any) -> ServerAnswer:
        path = f"{self._build_path(value)}?dryRun=All&fieldValidation=Strict"
        return _decode(*self._post(path, orjson.dumps(value)))

    def _build_path(self, value: Any) -> str:
        found, namespaced = self._resources[value["apiVersion"], value["kind"]]
        base, name = found.split("|")
        metadata = value.get("metadata")
        namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
        # A namespace that cannot be part of an address is in the body only.
        if not isinstance(namespace, str) or "/" in namespace or not namespace.strip("."):
            namespace = "default"
        where = f"namespaces/{quote(namespace, safe='')}/" if namespaced else ""
        return f"{base}/{where}{name}"

    def _post(self, path: str, body: bytes) -> tuple[int, Any, list[str]]:
        headers = {"Authorization": f"Bearer {cluster.TOKEN}", "Content-Type": "application/json"}
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=30)
            self._local.connection = connection
            self._connections.append(connection)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read()), answer.headers.get_all("Warning") or []


def _decode(status: int, value: Any, headers: Sequence[str]) -> ServerAnswer:
    causes = {(one.get("reason", ""), one.get("field", "")) for one in (value.get("details") or {}).get("causes") or ()}
    message = value.get("message", "")
    if "strict decoding error" in message:
        causes = {(f"{word.capitalize()}Field", field) for word, field in STRICT_FIELD.findall(message)}
    warnings = tuple(ESCAPE.sub(r"\1", match[1]) for match in map(WARNING.fullmatch, headers) if match)
    return ServerAnswer(status, message, frozenset(causes), warnings)


@contextmanager
def running(folder: Path, options: Sequence[str] = EVERY_VERSION) -> Iterator[ApiServer]:
    """An API server with every API version, or with other options."""
    disabled = () if cluster.DISABLE in options else DISABLED
    with cluster.running(folder, [*OPTIONS, *disabled, *options]) as machine:
        yield ApiServer(machine)
