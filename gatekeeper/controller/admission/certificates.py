"""The certificate of the webhook: made here, kept in a Secret for all replicas, and made anew before it is over.

What an API server has to trust is written into the webhook's configuration: an authority of our own, which signs
nothing else.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatekeeper.cluster.dynamic_client import CONFLICT, Kind, Objects, Refusal
from gatekeeper.cluster.secret_values import SECRETS, secret
from gatekeeper.controller.runtime.telemetry import say
from gatekeeper.secret_value import Hidden

HOOKS = Kind("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", False)
AUTHORITY_DAYS, DAYS = 3650, 90
# It is made anew when a third of its time is left.
LEFT = 1 / 3
HOUR = 3600.0
FIELDS = ("ca.crt", "ca.key", "tls.crt", "tls.key")
Key = ec.EllipticCurvePrivateKey


class Certificates:
    """The certificate of a Service, in files that a server reads.

    Args:
        service: the name under which the API server calls, as the certificate has it.
        hosts: other names and addresses of it.
        hook: the ValidatingWebhookConfiguration that is told whom to trust; empty for none.
        renewed: is called when the files have another certificate.
        days: how long a certificate lasts.
    """

    def __init__(
        self,
        cluster: Objects,
        namespace: str,
        service: str,
        hosts: Sequence[str],
        hook: str,
        renewed: Callable[[], None],
        days: float = DAYS,
    ) -> None:
        self._cluster, self._namespace, self._service, self._hook = cluster, namespace, service, hook
        self._renewed, self._days = renewed, days
        self._names = [f"{service}.{namespace}.svc", service, *hosts]
        self._name = f"{service}-certificate"
        # Nobody else reads it, and it goes with the program.
        self._folder = Path(tempfile.mkdtemp(prefix="gatekeeper-"))
        self.files = (str(self._folder / "tls.crt"), str(self._folder / "tls.key"))
        self._pem = b""

    def look(self) -> float:
        """Sees to it that there is a certificate that lasts, and that it is trusted; in how many seconds to look again.

        Raises:
            ToolError: the cluster does not do it.
        """
        held = secret(self._cluster, self._namespace, self._name)
        if held is None or any(field not in held for field in FIELDS) or self._is_late(held["tls.crt"].reveal()):
            held = self._made(held)
        if held["tls.crt"].reveal() != self._pem:
            for path, field in zip(self.files, ("tls.crt", "tls.key"), strict=True):
                descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(held[field].reveal())
                Path(f"{path}.new").replace(path)
            is_first, self._pem = not self._pem, held["tls.crt"].reveal()
            if not is_first:
                self._renewed()
        self._trust(held["ca.crt"].reveal())
        return min(HOUR, self._days * 86400 * LEFT / 4)

    def close(self) -> None:
        """Takes the files away."""
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _is_late(self, pem: bytes) -> bool:
        try:
            found = x509.load_pem_x509_certificate(pem)
        except ValueError:
            return True
        whole = found.not_valid_after_utc - found.not_valid_before_utc
        return datetime.datetime.now(datetime.UTC) > found.not_valid_after_utc - whole * LEFT

    def _made(self, held: dict[str, Hidden] | None) -> dict[str, Hidden]:
        """A new certificate, noted for all replicas; that of another replica, where it was faster."""
        new = made(held, self._names, self._days)
        data = {field: base64.b64encode(new[field].reveal()).decode() for field in FIELDS}
        live = self._cluster.get(SECRETS, self._namespace, self._name)
        value = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}
        metadata = {"name": self._name, "namespace": self._namespace}
        try:
            if live is None:
                self._cluster.create(SECRETS, {**value, "metadata": metadata}, "gatekeeper")
            else:
                self._cluster.replace(SECRETS, {**live, **value}, "gatekeeper")
        except Refusal as error:
            other = secret(self._cluster, self._namespace, self._name)
            if error.code != CONFLICT or other is None:
                raise
            return other
        say("info", "a new certificate for the webhook", controller="admission", days=self._days)
        return new

    def _trust(self, authority: bytes) -> None:
        live = self._cluster.get(HOOKS, "", self._hook) if self._hook else None
        if live is None:
            return
        bundle = base64.b64encode(authority).decode()
        hooks = live.get("webhooks") or []
        if all(one["clientConfig"].get("caBundle") == bundle for one in hooks):
            return
        told = [{**one, "clientConfig": {**one["clientConfig"], "caBundle": bundle}} for one in hooks]
        self._cluster.replace(HOOKS, {**live, "webhooks": told}, "gatekeeper")
        say("info", "the API server is told whom to trust", controller="admission", webhook=self._hook)


def made(held: dict[str, Hidden] | None, names: list[str], days: float) -> dict[str, Hidden]:
    """A new certificate and its key, of the authority that there is, or of a new one where it is over soon."""
    now = datetime.datetime.now(datetime.UTC)
    authority, signer = _authority(held, now, days)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _builder(names[0], authority.subject, key, now, days)
        .add_extension(x509.SubjectAlternativeName(list(map(_san, names))), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    texts = (_pem(authority), _private(signer), _pem(leaf), _private(key))
    return {field: Hidden(text) for field, text in zip(FIELDS, texts, strict=True)}


def _authority(held: dict[str, Hidden] | None, now: datetime.datetime, days: float) -> tuple[x509.Certificate, Key]:
    if held is not None and "ca.crt" in held and "ca.key" in held:
        try:
            found = x509.load_pem_x509_certificate(held["ca.crt"].reveal())
            signer = serialization.load_pem_private_key(held["ca.key"].reveal(), None)
        except ValueError:
            found, signer = None, None
        lasts = found is not None and now + datetime.timedelta(days=days) < found.not_valid_after_utc
        if found is not None and lasts and isinstance(signer, ec.EllipticCurvePrivateKey):
            return found, signer
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatekeeper webhook")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    whole = (
        _builder("gatekeeper webhook", name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return whole, key


def _builder(name: str, issuer: x509.Name, key: Key, now: datetime.datetime, days: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Whose clock is a little behind takes it, too.
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: Key) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
