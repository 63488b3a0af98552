"""Objects that are encrypted with SOPS, opened on their way into the cluster, and nowhere else.

Source: kustomize-controller `internal/decryptor/decryptor.go`. A MAC is not looked at: it is of the file as it stands
in Git, and kustomize has changed that since; each value is vouched for by its own tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from gatekeeper.errors import SealError
from gatekeeper.hidden import Hidden
from gatekeeper.reconciling import marking
from gatekeeper.reconciling.inventory import entry_of
from gatekeeper.reconciling.ordering import Object
from gatekeeper.sops import program

AGE = ".agekey"
SECONDS = 60.0


def is_sealed(value: Object) -> bool:
    """Whether an object is encrypted, and is not to stay so."""
    return isinstance(value.get("sops"), dict) and not marking.says(value, "decrypt", "Disabled")


def keys_of(data: Mapping[str, Hidden]) -> Hidden:
    """The age keys of a Secret that Flux decrypts with: all that end with `.agekey`.

    Raises:
        SealError: there is none.
    """
    found = [data[name].reveal().strip() for name in sorted(data) if name.endswith(AGE)]
    if not found:
        held = ", ".join(f"`{name}`" for name in sorted(data)) or "nothing"
        raise SealError(f"the Secret to decrypt with has no key that ends with {AGE}, but {held}; PGP is not supported")
    return Hidden(b"\n".join(found))


def opened(objects: Sequence[Object], keys: Hidden) -> list[Object]:
    """All objects, those that were encrypted in the clear.

    Raises:
        SealError: one cannot be opened; nothing of what it holds is in the message.
    """
    return [_opened(value, keys) if is_sealed(value) else value for value in objects]


def _opened(value: Object, keys: Hidden) -> Object:
    plain = program.opened_with(orjson.dumps(value), keys, str(entry_of(value)), SECONDS)
    found: Object = orjson.loads(plain.reveal())
    return found
