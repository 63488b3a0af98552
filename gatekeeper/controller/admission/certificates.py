"""Certificate of the admission webhook: issued here, shared by all replicas in a Secret, renewed before it expires.

The webhook's configuration trusts a certificate authority of our own, which signs nothing else.
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
from gatekeeper.cluster.secrets import SECRETS, read_secret
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

WEBHOOK_CONFIGURATION_KIND = Kind("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", False)
CA_VALIDITY_DAYS, VALIDITY_DAYS = 3650, 90
# A certificate is renewed when this fraction of its lifetime is left.
RENEWAL_FRACTION = 1 / 3
HOUR_SECONDS, DAY_SECONDS = 3600.0, 86400.0
# An API server whose clock is slow accepts a new certificate, too.
CLOCK_SKEW = datetime.timedelta(minutes=5)
CA_NAME = "gatekeeper webhook"
FIELD_MANAGER = "gatekeeper"
SECRET_FIELDS = ("ca.crt", "ca.key", "tls.crt", "tls.key")
PrivateKey = ec.EllipticCurvePrivateKey


class WebhookEndpoint(NamedTuple):
    """How the API server reaches the webhook.

    Attributes:
        service_name: the Service in the certificate's names.
        webhook_name: the ValidatingWebhookConfiguration that gets the CA bundle; empty for none.
        extra_hosts: further host names and IP addresses of the certificate.
        validity_days: lifetime of a certificate.
    """

    namespace: str
    service_name: str
    webhook_name: str
    extra_hosts: Sequence[str] = ()
    validity_days: float = VALIDITY_DAYS


class WebhookCertificates:
    """The current certificate, as files that the server reads.

    Args:
        on_renewal: called when the files hold another certificate than before.
    """

    def __init__(self, cluster: DynamicClient, endpoint: WebhookEndpoint, on_renewal: Callable[[], None]) -> None:
        self._cluster, self._endpoint, self._on_renewal = cluster, endpoint, on_renewal
        self._secret_name = f"{endpoint.service_name}-certificate"
        # Readable by this process only, and deleted when it stops.
        self._folder = Path(tempfile.mkdtemp(prefix="gatekeeper-"))
        self.files = (str(self._folder / "tls.crt"), str(self._folder / "tls.key"))
        self._current_pem = b""

    def ensure_certificate(self) -> float:
        """Issue or renew the certificate if needed, and publish its CA.

        Returns:
            Seconds until the next check.

        Raises:
            ToolError: the cluster does not answer, or refuses the change.
        """
        secret = read_secret(self._cluster, self._endpoint.namespace, self._secret_name)
        if (
            secret is None
            or any(field not in secret for field in SECRET_FIELDS)
            or _is_renewal_due(secret["tls.crt"].reveal())
        ):
            secret = self._issue_and_store(secret)
        if secret["tls.crt"].reveal() != self._current_pem:
            self._write_files(secret)
            is_first, self._current_pem = not self._current_pem, secret["tls.crt"].reveal()
            if not is_first:
                self._on_renewal()
        self._publish_ca(secret["ca.crt"].reveal())
        return min(HOUR_SECONDS, self._endpoint.validity_days * DAY_SECONDS * RENEWAL_FRACTION / 4)

    def close(self) -> None:
        """Delete the files."""
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _write_files(self, secret: dict[str, SecretBytes]) -> None:
        for path, field in zip(self.files, ("tls.crt", "tls.key"), strict=True):
            descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(secret[field].reveal())
            Path(f"{path}.new").replace(path)

    def _issue_and_store(self, existing: dict[str, SecretBytes] | None) -> dict[str, SecretBytes]:
        """Issue a certificate and store it for all replicas; if another replica was faster, use its certificate."""
        endpoint = self._endpoint
        names = [f"{endpoint.service_name}.{endpoint.namespace}.svc", endpoint.service_name, *endpoint.extra_hosts]
        issued = issue_certificate(existing, names, endpoint.validity_days)
        data = {field: base64.b64encode(issued[field].reveal()).decode() for field in SECRET_FIELDS}
        live = self._cluster.get(SECRETS, endpoint.namespace, self._secret_name)
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}
        metadata = {"name": self._secret_name, "namespace": endpoint.namespace}
        try:
            if live is None:
                self._cluster.create(SECRETS, {**secret, "metadata": metadata}, FIELD_MANAGER)
            else:
                self._cluster.replace(SECRETS, {**live, **secret}, FIELD_MANAGER)
        except ApiStatusError as error:
            stored = read_secret(self._cluster, endpoint.namespace, self._secret_name)
            if error.code != CONFLICT or stored is None:
                raise
            return stored
        log_event("info", "issued a webhook certificate", controller="admission", days=endpoint.validity_days)
        return issued

    def _publish_ca(self, ca_pem: bytes) -> None:
        name = self._endpoint.webhook_name
        live = self._cluster.get(WEBHOOK_CONFIGURATION_KIND, "", name) if name else None
        if live is None:
            return
        bundle = base64.b64encode(ca_pem).decode()
        webhooks = live.get("webhooks") or []
        if all(webhook["clientConfig"].get("caBundle") == bundle for webhook in webhooks):
            return
        updated = [{**webhook, "clientConfig": {**webhook["clientConfig"], "caBundle": bundle}} for webhook in webhooks]
        self._cluster.replace(WEBHOOK_CONFIGURATION_KIND, {**live, "webhooks": updated}, FIELD_MANAGER)
        log_event("info", "published the CA bundle to the API server", controller="admission", webhook=name)


def _is_renewal_due(pem: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return True
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return datetime.datetime.now(datetime.UTC) > certificate.not_valid_after_utc - lifetime * RENEWAL_FRACTION


def issue_certificate(
    existing: dict[str, SecretBytes] | None, names: list[str], validity_days: float
) -> dict[str, SecretBytes]:
    """Issue a certificate and its key, signed by the existing CA, or by a new one if that expires too soon.

    Args:
        existing: the fields of the current Secret, if there is one.
        names: host names and IP addresses.

    Returns:
        The fields of the new Secret.
    """
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
            authority = x509.load_pem_x509_certificate(existing["ca.crt"].reveal())
            signer = serialization.load_pem_private_key(existing["ca.key"].reveal(), None)
        except ValueError:
            authority, signer = None, None
        if authority is not None and isinstance(signer, ec.EllipticCurvePrivateKey):
            is_long_enough = now + datetime.timedelta(days=validity_days) < authority.not_valid_after_utc
            if is_long_enough:
                return authority, signer
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME)])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _start_builder(CA_NAME, name, key, now, CA_VALIDITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _start_builder(
    name: str, issuer: x509.Name, key: PrivateKey, now: datetime.datetime, validity_days: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
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
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
