"""The form of SealedSecrets: each value as kubeseal writes it.

See `gatekeeper/sealing/wire.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gatekeeper.errors import SealError
from gatekeeper.model import FieldPath, Finding, Resource, Severity, at
from gatekeeper.sealedsecrets import wire_format

# Keys of 2048, 3072, 4096 and 8192 bits; the controller makes 4096.
RSA_BYTES = (256, 384, 512, 1024)
VALUES: FieldPath = ("spec", "encryptedData")


def judge(resources: Sequence[Resource], sizes: Collection[int]) -> Iterator[Finding]:
    """What is wrong with sealed values.

    Args:
        sizes: of the keys in the repository's certificates, in bytes; none where it has none.
    """
    for resource in resources:
        if resource.ref.kind == "SealedSecret":
            value = resource.value
            entries = at(value, VALUES)
            for key, text in entries.items() if isinstance(entries, dict) else ():
                yield from _value(resource, key, text, sizes)
            if isinstance(at(value, ("spec", "data")), str):
                message = "`spec.data` is the form of sealed-secrets before 0.7: newer controllers will not open it"
                yield _finding(resource, "sealed/old-form", ("spec", "data"), message, "seal it again", "warning")


def _value(resource: Resource, key: str, text: Any, sizes: Collection[int]) -> Iterator[Finding]:
    path = (*VALUES, key)
    try:
        length = len(wire_format.parts(text if isinstance(text, str) else "")[0])
    except wire_format.NotBase64:
        message = f"sealed value `{key}` is not valid base64, so the controller cannot open it"
        yield _finding(resource, "sealed/not-base64", path, message, "seal the value again with kubeseal")
        return
    except SealError:
        length = 0
    if length not in RSA_BYTES:
        message = f"`{key}` is not sealed: it has not the form that kubeseal writes"
        yield _finding(resource, "sealed/not-sealed", path, message, "seal the value with kubeseal")
    elif sizes and length not in sizes:
        known = ", ".join(str(size * 8) for size in sorted(sizes))
        message = f"`{key}` is sealed for a key of {length * 8} bits; the certificates in keys/ have {known}"
        hint = "seal it again with a certificate of the cluster, or add that certificate"
        yield _finding(resource, "sealed/key-size", path, message, hint)


def _finding(
    resource: Resource, rule: str, path: FieldPath, message: str, hint: str, severity: Severity = "error"
) -> Finding:
    place = resource.origin.place(path, key=True)
    return Finding(rule, severity, message, place, resource.ref, path, hint, "field")
