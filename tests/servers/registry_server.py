"""A real OCI registry of the test's own, with a password or with tokens of a token service."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.servers import server
from tests.servers.cluster import free_port, started
from tests.servers.source_server import digest_of

USER, PASSWORD = "reader", "a-password-of-the-test"
# The password as htpasswd writes it: the registry accepts bcrypt only.
HTPASSWD = f"{USER}:$2a$04$BOe/Rgoup0tg200iLFFrIuXnqJQky8RxR5OLmWZIJOp/M3zsj684i\n"
SERVICE, ISSUER = "the-registry", "the-token-service"
SECONDS = 30.0
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
HELM_PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"
FLUX_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Registry(NamedTuple):
    """A registry: host with port, and what a request to push must send as `Authorization`."""

    host: str
    authorize: Callable[[str], str]

    def push(
        self, repository: str, tag: str, layers: Sequence[tuple[str, bytes]], config_type: str = HELM_CONFIG
    ) -> str:
        """Pushes an artifact; the digest of its manifest."""
        config = self._push_blob(repository, b"{}")
        described = [{"mediaType": kind, **self._push_blob(repository, content)} for kind, content in layers]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": config_type, **config}}
        return self.push_manifest(repository, tag, {**manifest, "layers": described}, MANIFEST)

    def push_manifest(self, repository: str, reference: str, manifest: Any, kind: str) -> str:
        """Pushes a manifest, or an index of manifests; its digest."""
        body = json.dumps(manifest).encode()
        self._send("PUT", f"http://{self.host}/v2/{repository}/manifests/{reference}", repository, body, kind)
        return digest_of(body)

    def push_index(self, repository: str, tag: str, digests: Sequence[str]) -> str:
        """Pushes an index of manifests that are there; its digest."""
        entries = []
        for digest in digests:
            answer = self._send("GET", f"http://{self.host}/v2/{repository}/manifests/{digest}", repository)
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": int(answer.headers["Content-Length"])})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return self.push_manifest(repository, tag, index, INDEX)

    def _push_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        answer = self._send("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/", repository, b"")
        place = answer.headers["Location"]
        joined = f"{place}{'&' if '?' in place else '?'}{urllib.parse.urlencode({'digest': digest_of(content)})}"
        self._send("PUT", joined, repository, content, "application/octet-stream")
        return {"digest": digest_of(content), "size": len(content)}

    def _send(self, method: str, url: str, repository: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {"Authorization": self.authorize(repository), "Accept": MANIFEST}
        if kind:
            headers["Content-Type"] = kind
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            answer.read()
            return answer


class TokenService:
    """Gives tokens to those who have the name and the password, and counts them."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.url = ""
        self.scopes: list[str] = []

    def sign(self, repository: str, *actions: str) -> str:
        """A token for some actions in a repository."""
        chain = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": USER,
            "aud": SERVICE,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": hashlib.sha256(f"{repository}{now}".encode()).hexdigest(),
            "access": [{"type": "repository", "name": repository, "actions": list(actions)}],
        }
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [chain]}, claims]
        signed = ".".join(_encode(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encode(signature)}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serves tokens on a free port."""
        service = self
        allowed = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                """Logs nothing."""

            def do_GET(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                [scope] = query["scope"]
                service.scopes.append(scope)
                if self.headers.get("Authorization") != allowed:
                    self.send_error(401)
                    return
                _, repository, actions = scope.split(":")
                body = json.dumps({"token": service.sign(repository, *actions.split(","))}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{listening.server_port}/token"
        try:
            yield
        finally:
            listening.shutdown()
            listening.server_close()
            thread.join()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """A registry that demands the name and the password."""
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    basic = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
    with _running(folder, auth) as host:
        yield Registry(host, lambda repository: basic)


@contextmanager
def running_token_registry(folder: Path) -> Iterator[tuple[Registry, TokenService]]:
    """A registry that demands tokens of a service, as public registries do."""
    service = TokenService(folder)
    with ExitStack() as stack:
        stack.enter_context(service.serving())
        bundle = str(service.bundle)
        auth = {"token": {"realm": service.url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}}
        host = stack.enter_context(_running(folder, auth))
        yield Registry(host, lambda repository: f"Bearer {service.sign(repository, 'pull', 'push')}"), service


@contextmanager
def _running(folder: Path, auth: dict[str, Any]) -> Iterator[str]:
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "a-secret-of-uploads"},
        "auth": auth,
    }
    # JSON is YAML.
    (folder / "registry.yml").write_text(json.dumps(config))
    command = [str(server("registry")), "serve", str(folder / "registry.yml")]
    with started(command, folder / "registry.log", {"OTEL_TRACES_EXPORTER": "none"}) as process:
        end = time.monotonic() + SECONDS
        while not _is_ready(f"http://127.0.0.1:{port}/v2/"):
            assert process.poll() is None and time.monotonic() < end, (folder / "registry.log").read_text()[-2000:]
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
