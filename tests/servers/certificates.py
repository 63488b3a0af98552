"""Certificates of the test's own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


class IssuedCertificate(NamedTuple):
    """A certificate and its key (PEM)."""

    certificate: str
    key: str

    def create_server_context(self, folder: Path, client_ca: str = "") -> ssl.SSLContext:
        """The settings of a server with this certificate.

        Args:
            client_ca: clients must have a certificate that this CA (PEM) vouches for.
        """
        path = folder / "server.pem"
        path.write_text(self.certificate + self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if client_ca:
            context.load_verify_locations(cadata=client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class CertificateAuthority:
    """A CA that vouches for servers at 127.0.0.1 and for clients."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the-ca-of-the-test")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._build(self._name, self._key, 1).add_extension(basic, critical=True)
        self.certificate = _write(made.sign(self._key, hashes.SHA256()))

    def issue(self, days: int = 1) -> IssuedCertificate:
        """A certificate that is valid for some days, or expired so many days ago."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the-server-of-the-test")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = self._build(name, key, days).add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return IssuedCertificate(_write(made), encoded.decode())

    def _build(self, name: x509.Name, key: rsa.RSAPrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=30))
        return builder.not_valid_after(now + datetime.timedelta(days=days))


def _write(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
