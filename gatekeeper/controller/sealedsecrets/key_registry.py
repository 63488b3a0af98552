"""The keys that SealedSecrets are sealed for: those of the controller's own namespace, and a new one when it is time.

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

from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.errors import SealError
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import KEY_LABEL, SealingCertificate, SealingKey
from gatekeeper.secret_value import SecretBytes

KEY_NAME_PREFIX, KEY_BITS = "sealed-secrets-key", 4096
CERTIFICATE_VALIDITY_DAYS = 3650
DAY_SECONDS = 86400.0


class KeyPair:
    """A key and its certificate; nothing of it is printed."""

    __slots__ = ("certificate", "key", "pem")

    def __init__(self, key: SealingKey, certificate: SealingCertificate, pem: bytes) -> None:
        self.key, self.certificate, self.pem = key, certificate, pem


class KeyRegistry:
    """All keys that open, and the newest, which seals.

    Args:
        changed: is called when there is another key than before.
        renew_days: how old the newest may become; 0 for as old as it gets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        namespace: str,
        renew_days: float,
        on_change: Callable[[], None],
        on_fault: Callable[[str], None],
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
        """The keys, newest first, in a list of one's own."""
        return [pair.key for pair in self._sort_pairs()]

    @property
    def newest(self) -> KeyPair | None:
        """The key to seal for: of those whose certificate is valid the youngest; None where there is none."""
        now = datetime.datetime.now(datetime.UTC)
        return next(
            (one for one in self._sort_pairs() if one.certificate.not_before <= now <= one.certificate.not_after), None
        )

    def _sort_pairs(self) -> list[KeyPair]:
        with self._pairs_lock:
            return sorted(self._pairs.values(), key=lambda pair: pair.certificate.not_before, reverse=True)

    def renew_if_due(self) -> float:
        """Makes a key if there is none, or the newest is old enough; in how many seconds to look again.

        Raises:
            ToolError: the cluster does not take it.
        """
        newest, now = self.newest, datetime.datetime.now(datetime.UTC)
        age = (now - newest.certificate.not_before).total_seconds() if newest else None
        if age is not None and (not self._renew_days or age < self._renew_days * DAY_SECONDS):
            return min(DAY_SECONDS, self._renew_days * DAY_SECONDS - age) if self._renew_days else DAY_SECONDS
        # Nothing in it is ever written anywhere but into its Secret.
        certificate, private = keyring.create_key_pair(self._bits, CERTIFICATE_VALIDITY_DAYS, now)
        name = f"{KEY_NAME_PREFIX}{secrets.token_hex(3)}"
        made = keyring.build_key_secret(certificate, private, name, self._namespace)
        self._on_secret_change(
            NamespacedName(self._namespace, name),
            None,
            _extract_key_material(self._cluster.create(SECRETS, made, "gatekeeper")),
        )
        log_event("info", "a new key to seal for", controller="SealedSecret", object=f"{self._namespace}/{name}")
        return min(DAY_SECONDS, self._renew_days * DAY_SECONDS) if self._renew_days else DAY_SECONDS

    def _on_secret_change(self, name: NamespacedName, old: SecretBytes | None, new: SecretBytes | None) -> None:
        try:
            pair = _parse_pair(new) if new is not None else None
        except SealError as error:
            # One that is broken takes nothing from the others.
            log_event("error", str(error), controller="SealedSecret", object="/".join(name))
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
    pem: list[bytes] = []
    for text in orjson.loads(material.reveal()):
        try:
            pem.append(base64.b64decode(text or "", validate=True))
        except (binascii.Error, ValueError):
            raise SealError("the Secret with a key to open with is not valid base64") from None
    certificate = keyring.parse_certificate(pem[0], "tls.crt", must_be_valid=False)
    [key] = keyring.load_keys([("tls.key", pem[1])])
    if key.fingerprint != certificate.fingerprint:
        raise SealError("tls.key is not the key of tls.crt")
    return KeyPair(key, certificate, pem[0])
