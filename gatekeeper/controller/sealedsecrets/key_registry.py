"""The keys of the controller: read from the Secrets of its namespace, and renewed when they are old.

Source: sealed-secrets `pkg/controller/keys.go`, `keyregistry.go`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import secrets
import threading
from collections.abc import Callable

import orjson

from gatekeeper.apply.changes import FIELD_MANAGER
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.errors import SecretFileError
from gatekeeper.model import NamespacedName, Object
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import KEY_LABEL, SealingCertificate, SealingKey
from gatekeeper.secret_value import SecretBytes

KEY_NAME_PREFIX, KEY_BITS = "sealed-secrets-key", 4096
CERTIFICATE_VALIDITY_DAYS = 3650
DAY_SECONDS = 86400.0


class KeyPair:
    """A private key and its certificate; its repr shows neither."""

    __slots__ = ("certificate", "key", "pem")

    def __init__(self, key: SealingKey, certificate: SealingCertificate, pem: bytes) -> None:
        self.key, self.certificate, self.pem = key, certificate, pem


class KeyRegistry:
    """All private keys of the controller, and the newest one, whose certificate seals.

    Args:
        namespace: the namespace of the key Secrets.
        renew_days: the age at which a new key is created; 0 for never.
        on_change: called after a key was added or removed.
        on_fault: called with a message when the watch of the Secrets fails.
        bits: the size of new keys.

    Attributes:
        reflector: watches the key Secrets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        namespace: str,
        renew_days: float,
        on_change: Callable[[], None],
        on_fault: Callable[[str], None],
        *,
        bits: int = KEY_BITS,
    ) -> None:
        self._cluster, self._namespace, self._renew_days, self._on_change = cluster, namespace, renew_days, on_change
        self._bits = bits
        self._pairs_lock = threading.Lock()
        self._pairs: dict[NamespacedName, KeyPair] = {}
        self.reflector = Reflector(
            cluster,
            SECRETS,
            _extract_key_material,
            self._on_secret_change,
            f"{KEY_LABEL}=active",
            on_error=on_fault,
            namespace=namespace,
        )

    def list_keys(self) -> list[SealingKey]:
        """Return the private keys, newest first, in a list that the caller may change."""
        return [pair.key for pair in self._sort_pairs()]

    @property
    def newest(self) -> KeyPair | None:
        """The newest key pair whose certificate is valid now; None if there is none."""
        now = datetime.datetime.now(datetime.UTC)
        return next(
            (pair for pair in self._sort_pairs() if pair.certificate.not_before <= now <= pair.certificate.not_after),
            None,
        )

    def _sort_pairs(self) -> list[KeyPair]:
        with self._pairs_lock:
            return sorted(self._pairs.values(), key=lambda pair: pair.certificate.not_before, reverse=True)

    def renew_if_due(self) -> float:
        """Create a key if there is none, or the newest one is old; return the seconds until the next check.

        Raises:
            ToolError: the cluster refuses, or does not answer.
        """
        newest, now = self.newest, datetime.datetime.now(datetime.UTC)
        renew_seconds = self._renew_days * DAY_SECONDS
        if newest is not None:
            age = (now - newest.certificate.not_before).total_seconds()
            if not renew_seconds or age < renew_seconds:
                return min(DAY_SECONDS, renew_seconds - age) if renew_seconds else DAY_SECONDS
        # The private key is written nowhere but into its Secret.
        certificate, private_key = keyring.create_key_pair(self._bits, CERTIFICATE_VALIDITY_DAYS, now)
        name = NamespacedName(self._namespace, f"{KEY_NAME_PREFIX}{secrets.token_hex(3)}")
        key_secret = keyring.build_key_secret(certificate, private_key, name.name, name.namespace)
        created = self._cluster.create(SECRETS, key_secret, FIELD_MANAGER)
        self._on_secret_change(name, None, _extract_key_material(created))
        log_event("info", "created a new sealing key", controller="SealedSecret", object=str(name))
        return min(DAY_SECONDS, renew_seconds) if renew_seconds else DAY_SECONDS

    def _on_secret_change(self, name: NamespacedName, old: SecretBytes | None, new: SecretBytes | None) -> None:
        try:
            pair = _parse_pair(new) if new is not None else None
        except SecretFileError as error:
            # A broken key Secret must not affect the other keys.
            log_event("error", str(error), controller="SealedSecret", object=str(name))
            pair = None
        with self._pairs_lock:
            if pair is None:
                self._pairs.pop(name, None)
            else:
                self._pairs[name] = pair
        self._on_change()


def _extract_key_material(secret: Object) -> SecretBytes:
    data = secret.get("data") or {}
    return SecretBytes(orjson.dumps([data.get("tls.crt"), data.get("tls.key")]))


def _parse_pair(material: SecretBytes) -> KeyPair:
    parts: list[bytes] = []
    for text in orjson.loads(material.reveal()):
        try:
            parts.append(base64.b64decode(text or "", validate=True))
        except (binascii.Error, ValueError):
            raise SecretFileError("the key Secret is not valid base64") from None
    certificate_pem, key_pem = parts
    certificate = keyring.parse_certificate(certificate_pem, "tls.crt", must_be_valid=False)
    [key] = keyring.load_keys([("tls.key", key_pem)])
    if key.fingerprint != certificate.fingerprint:
        raise SecretFileError("`tls.key` does not belong to `tls.crt`")
    return KeyPair(key, certificate, certificate_pem)
