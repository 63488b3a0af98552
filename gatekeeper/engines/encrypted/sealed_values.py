"""Checks that each value of a SealedSecret has the form that kubeseal writes; see `sealedsecrets.wire_format`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gatekeeper.errors import SecretFileError
from gatekeeper.model import FieldPath, Finding, Resource, get_field
from gatekeeper.sealedsecrets import wire_format

# Keys of 2048, 3072, 4096 and 8192 bits; the controller generates keys of 4096 bits.
RSA_KEY_BYTES = (256, 384, 512, 1024)
VALUES_PATH: FieldPath = ("spec", "encryptedData")


def check_sealed_values(resources: Sequence[Resource], key_sizes: Collection[int]) -> Iterator[Finding]:
    """Yield a finding for each sealed value with a wrong form.

    Args:
        key_sizes: sizes in bytes of the keys in the repository's certificates; empty if it has no certificates.
    """
    for resource in resources:
        if resource.ref.kind == "SealedSecret":
            value = resource.value
            entries = get_field(value, VALUES_PATH)
            for key, text in entries.items() if isinstance(entries, dict) else ():
                yield from _check_value(resource, key, text, key_sizes)
            if isinstance(get_field(value, ("spec", "data")), str):
                message = "`spec.data` is the format of sealed-secrets before 0.7: newer controllers cannot decrypt it"
                path = ("spec", "data")
                yield resource.build_finding(
                    "sealed/old-form",
                    message,
                    path,
                    hint="seal it again",
                    severity="warning",
                    is_key=True,
                )


def _check_value(resource: Resource, key: str, text: Any, key_sizes: Collection[int]) -> Iterator[Finding]:
    path = (*VALUES_PATH, key)
    try:
        length = len(wire_format.split_sealed_value(text if isinstance(text, str) else "")[0])
    except wire_format.NotBase64Error:
        message = f"sealed value `{key}` is not valid base64, so the controller cannot decrypt it"
        hint = "seal the value again with kubeseal"
        yield resource.build_finding("sealed/not-base64", message, path, hint=hint, is_key=True)
        return
    except SecretFileError:
        length = 0
    if length not in RSA_KEY_BYTES:
        message = f"`{key}` is not sealed: it does not have the format that kubeseal writes"
        hint = "seal the value with kubeseal"
        yield resource.build_finding("sealed/not-sealed", message, path, hint=hint, is_key=True)
    elif key_sizes and length not in key_sizes:
        known = ", ".join(str(size * 8) for size in sorted(key_sizes))
        message = (
            f"`{key}` is sealed for a key of {length * 8} bits; the certificates in keys/ have keys of {known} bits"
        )
        hint = "seal it again with a certificate of the cluster, or add that certificate"
        yield resource.build_finding("sealed/key-size", message, path, hint=hint, is_key=True)
