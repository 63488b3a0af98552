"""Credentials of a test's own, in place of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import StoreError


class Held:
    """Values of Secrets and tokens of ServiceAccounts, by their name alone."""

    def __init__(self, values: Mapping[str, str], notes: Mapping[str, str] | None = None) -> None:
        self.values = dict(values)
        self.notes = dict(notes or {})
        self.asked: list[tuple[str, tuple[str, ...], int]] = []

    def secret(self, namespace: str, name: str, key: str) -> Hidden:
        if name not in self.values:
            raise StoreError(f"signs in with `{key}` of the Secret {name}, which is not there")
        return Hidden(self.values[name].encode())

    def text(self, kind: str, namespace: str, name: str, key: str) -> str:
        return self.secret(namespace, name, key).reveal().decode()

    def token(self, namespace: str, name: str, audiences: Sequence[str], seconds: int) -> Hidden:
        self.asked.append((name, tuple(audiences), seconds))
        return self.secret(namespace, name, "token")

    def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        return self.notes
