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

from gatekeeper.cluster.dynamic_client import CONFLICT, ApiStatusError, DynamicClient, Kind
from gatekeeper.cluster.secret_values import SECRETS, read_secret
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.secret_value import SecretBytes

WEBHOOK_CONFIGURATION_KIND = Kind("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", False)
CA_VALIDITY_DAYS, VALIDITY_DAYS = 3650, 90
# It is made anew when a third of its time is left.
RENEWAL_FRACTION = 1 / 3
HOUR_SECONDS = 3600.0
SECRET_FIELDS = ("ca.crt", "ca.key", "tls.crt", "tls.key")
PrivateKey = ec.EllipticCurvePrivateKey


class WebhookCertificates:
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
        cluster: DynamicClient,
        namespace: str,
        service_name: str,
        extra_hosts: Sequence[str],
        webhook_name: str,
        on_renewal: Callable[[], None],
        validity_days: float = VALIDITY_DAYS,
    ) -> None:
        self._cluster, self._namespace, self._service_name, self._webhook_name = (
            cluster,
            namespace,
            service_name,
            webhook_name,
        )
        self._on_renewal, self._validity_days = on_renewal, validity_days
        self._dns_names = [f"{service_name}.{namespace}.svc", service_name, *extra_hosts]
        self._secret_name = f"{service_name}-certificate"
        # Nobody else reads it, and it goes with the program.
        self._folder = Path(tempfile.mkdtemp(prefix="gatekeeper-"))
        self.files = (str(self._folder / "tls.crt"), str(self._folder / "tls.key"))
        self._current_pem = b""

    def ensure_certificate(self) -> float:
        """Sees to it that there is a certificate that lasts, and that it is trusted; in how many seconds to look again.

        Raises:
            ToolError: the cluster does not do it.
        """
        held = read_secret(self._cluster, self._namespace, self._secret_name)
        if (
            held is None
            or any(field not in held for field in SECRET_FIELDS)
            or self._is_renewal_due(held["tls.crt"].reveal())
        ):
            held = self._issue_and_store(held)
        if held["tls.crt"].reveal() != self._current_pem:
            for path, field in zip(self.files, ("tls.crt", "tls.key"), strict=True):
                descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(held[field].reveal())
                Path(f"{path}.new").replace(path)
            is_first, self._current_pem = not self._current_pem, held["tls.crt"].reveal()
            if not is_first:
                self._on_renewal()
        self._publish_ca(held["ca.crt"].reveal())
        return min(HOUR_SECONDS, self._validity_days * 86400 * RENEWAL_FRACTION / 4)

    def close(self) -> None:
        """Takes the files away."""
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _is_renewal_due(self, pem: bytes) -> bool:
        try:
            found = x509.load_pem_x509_certificate(pem)
        except ValueError:
            return True
        whole = found.not_valid_after_utc - found.not_valid_before_utc
        return datetime.datetime.now(datetime.UTC) > found.not_valid_after_utc - whole * RENEWAL_FRACTION

    def _issue_and_store(self, existing: dict[str, SecretBytes] | None) -> dict[str, SecretBytes]:
        """A new certificate, noted for all replicas; that of another replica, where it was faster."""
        new = issue_certificate(existing, self._dns_names, self._validity_days)
        data = {field: base64.b64encode(new[field].reveal()).decode() for field in SECRET_FIELDS}
        live = self._cluster.get(SECRETS, self._namespace, self._secret_name)
        value = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}
        metadata = {"name": self._secret_name, "namespace": self._namespace}
        try:
            if live is None:
                self._cluster.create(SECRETS, {**value, "metadata": metadata}, "gatekeeper")
            else:
                self._cluster.replace(SECRETS, {**live, **value}, "gatekeeper")
        except ApiStatusError as error:
            other = read_secret(self._cluster, self._namespace, self._secret_name)
            if error.code != CONFLICT or other is None:
                raise
            return other
        log_event("info", "a new certificate for the webhook", controller="admission", days=self._validity_days)
        return new

    def _publish_ca(self, ca_pem: bytes) -> None:
        live = self._cluster.get(WEBHOOK_CONFIGURATION_KIND, "", self._webhook_name) if self._webhook_name else None
        if live is None:
            return
        bundle = base64.b64encode(ca_pem).decode()
        hooks = live.get("webhooks") or []
        if all(one["clientConfig"].get("caBundle") == bundle for one in hooks):
            return
        told = [{**one, "clientConfig": {**one["clientConfig"], "caBundle": bundle}} for one in hooks]
        self._cluster.replace(WEBHOOK_CONFIGURATION_KIND, {**live, "webhooks": told}, "gatekeeper")
        log_event("info", "the API server is told whom to trust", controller="admission", webhook=self._webhook_name)


def issue_certificate(
    existing: dict[str, SecretBytes] | None, names: list[str], validity_days: float
) -> dict[str, SecretBytes]:
    """A new certificate and its key, of the authority that there is, or of a new one where it is over soon."""
    now = datetime.datetime.now(datetime.UTC)
    authority, signer = _load_or_create_ca(existing, now, validity_days)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _start_builder(names[0], authority.subject, key, now, validity_days)
        .add_extension(x509.SubjectAlternativeName(list(map(_parse_general_name, names))), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    texts = (
        _encode_certificate(authority),
        _encode_private_key(signer),
        _encode_certificate(leaf),
        _encode_private_key(key),
    )
    return {field: SecretBytes(text) for field, text in zip(SECRET_FIELDS, texts, strict=True)}


def _load_or_create_ca(
    existing: dict[str, SecretBytes] | None, now: datetime.datetime, validity_days: float
) -> tuple[x509.Certificate, PrivateKey]:
    if existing is not None and "ca.crt" in existing and "ca.key" in existing:
        try:
            found = x509.load_pem_x509_certificate(existing["ca.crt"].reveal())
            signer = serialization.load_pem_private_key(existing["ca.key"].reveal(), None)
        except ValueError:
            found, signer = None, None
        lasts = found is not None and now + datetime.timedelta(days=validity_days) < found.not_valid_after_utc
        if found is not None and lasts and isinstance(signer, ec.EllipticCurvePrivateKey):
            return found, signer
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatekeeper webhook")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    whole = (
        _start_builder("gatekeeper webhook", name, key, now, CA_VALIDITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return whole, key


def _start_builder(
    name: str, issuer: x509.Name, key: PrivateKey, now: datetime.datetime, validity_days: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Whose clock is a little behind takes it, too.
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=validity_days))
    )


def _parse_general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _encode_certificate(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _encode_private_key(key: PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
