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

from gatekeeper.cluster.dynamic_client import Kind, Object, Objects
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.controller.runtime.telemetry import say
from gatekeeper.errors import SealError
from gatekeeper.sealedsecrets import keyring
from gatekeeper.sealedsecrets.keyring import LABEL, Certificate, Key
from gatekeeper.secret_value import Hidden

SECRETS = Kind("v1", "secrets", True)
PREFIX, BITS = "sealed-secrets-key", 4096
CERTIFICATE_DAYS = 3650
DAY = 86400.0


class Pair:
    """A key and its certificate; nothing of it is printed."""

    __slots__ = ("certificate", "key", "pem")

    def __init__(self, key: Key, certificate: Certificate, pem: bytes) -> None:
        self.key, self.certificate, self.pem = key, certificate, pem


class Keys:
    """All keys that open, and the newest, which seals.

    Args:
        changed: is called when there is another key than before.
        renew_days: how old the newest may become; 0 for as old as it gets.
    """

    def __init__(
        self,
        cluster: Objects,
        namespace: str,
        renew_days: float,
        changed: Callable[[], None],
        fault: Callable[[str], None],
        bits: int = BITS,
    ) -> None:
        self._cluster, self._namespace, self._renew, self._changed = cluster, namespace, renew_days, changed
        self._bits = bits
        self._reading = threading.Lock()
        self._pairs: dict[Name, Pair] = {}
        self.watch = Reflector(cluster, SECRETS, _held, self._told, f"{LABEL}=active", fault=fault, namespace=namespace)

    def ring(self) -> list[Key]:
        """The keys, newest first, in a list of one's own."""
        return [pair.key for pair in self._sorted()]

    @property
    def newest(self) -> Pair | None:
        """The key to seal for: of those whose certificate is valid the youngest; None where there is none."""
        now = datetime.datetime.now(datetime.UTC)
        return next((one for one in self._sorted() if one.certificate.starts <= now <= one.certificate.ends), None)

    def _sorted(self) -> list[Pair]:
        with self._reading:
            return sorted(self._pairs.values(), key=lambda pair: pair.certificate.starts, reverse=True)

    def renew(self) -> float:
        """Makes a key if there is none, or the newest is old enough; in how many seconds to look again.

        Raises:
            ToolError: the cluster does not take it.
        """
        newest, now = self.newest, datetime.datetime.now(datetime.UTC)
        age = (now - newest.certificate.starts).total_seconds() if newest else None
        if age is not None and (not self._renew or age < self._renew * DAY):
            return min(DAY, self._renew * DAY - age) if self._renew else DAY
        # Nothing in it is ever written anywhere but into its Secret.
        certificate, private = keyring.new(self._bits, CERTIFICATE_DAYS, now)
        name = f"{PREFIX}{secrets.token_hex(3)}"
        made = keyring.key_secret(certificate, private, name, self._namespace)
        self._told((self._namespace, name), None, _held(self._cluster.create(SECRETS, made, "gatekeeper")))
        say("info", "a new key to seal for", controller="SealedSecret", object=f"{self._namespace}/{name}")
        return min(DAY, self._renew * DAY) if self._renew else DAY

    def _told(self, name: Name, before: Hidden | None, now: Hidden | None) -> None:
        try:
            pair = _pair(now) if now is not None else None
        except SealError as error:
            # One that is broken takes nothing from the others.
            say("error", str(error), controller="SealedSecret", object="/".join(name))
            pair = None
        with self._reading:
            if pair is None:
                self._pairs.pop(name, None)
            else:
                self._pairs[name] = pair
        self._changed()


def _held(secret: Object) -> Hidden:
    data = secret.get("data") or {}
    return Hidden(orjson.dumps([data.get("tls.crt"), data.get("tls.key")]))


def _pair(held: Hidden) -> Pair:
    pem: list[bytes] = []
    for text in orjson.loads(held.reveal()):
        try:
            pem.append(base64.b64decode(text or "", validate=True))
        except (binascii.Error, ValueError):
            raise SealError("the Secret with a key to open with is not valid base64") from None
    certificate = keyring.certificate(pem[0], "tls.crt", must_be_valid=False)
    [key] = keyring.load([("tls.key", pem[1])])
    if key.fingerprint != certificate.fingerprint:
        raise SealError("tls.key is not the key of tls.crt")
    return Pair(key, certificate, pem[0])
