"""The signature of an OPA bundle: a JWT over the hashes of its files.

Source: https://www.openpolicyagent.org/docs/management-bundles#signing and OPA `v1/bundle/{hash,verify}.go`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.errors import PolicyError
from gatekeeper.workspace import documents

HASH_ALGORITHMS = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
# Files whose values are signed, not their bytes.
STRUCTURED_FILES = ("data.json", "data.yaml", "data.yml", ".manifest")


def verify_bundle(files: Mapping[str, bytes], signatures: bytes, key: bytes, name: str) -> None:
    """Checks that a key signed exactly these files.

    Args:
        signatures: the bundle's `.signatures.json`.
        key: a public key in PEM.

    Raises:
        PolicyError: it did not.
    """
    try:
        [token] = orjson.loads(signatures)["signatures"]
        payload = _verify_token(str(token), key)
        listed = {str(entry["name"]).lstrip("/"): entry for entry in payload["files"]}
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise PolicyError(f"{name}: its signature cannot be read: {error}") from error
    for file in files.keys() - listed.keys():
        raise PolicyError(f"{name}: {file} is not signed")
    for file in listed.keys() - files.keys():
        raise PolicyError(f"{name}: {file} was signed, and is gone")
    for file, entry in listed.items():
        algorithm = HASH_ALGORITHMS.get(str(entry.get("algorithm")))
        if algorithm is None:
            raise PolicyError(
                f"{name}: {file} is signed by {entry.get('algorithm')!r}; there are {', '.join(HASH_ALGORITHMS)}"
            )
        if hashlib.new(algorithm, _canonicalize(file, files[file])).hexdigest() != entry.get("hash"):
            raise PolicyError(f"{name}: {file} is another than the one that was signed")


def _canonicalize(file: str, content: bytes) -> bytes:
    if not file.endswith(STRUCTURED_FILES):
        return content
    found, failure = documents.parse(content)
    if failure is not None or not found:
        return content
    return orjson.dumps(documents.to_value(found[0]), option=orjson.OPT_SORT_KEYS)


def _verify_token(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a JWT that a key signed."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    head, claims, mark = token.split(".")
    algorithm = str(orjson.loads(_decode_base64url(head)).get("alg"))
    sizes = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    digest = sizes.get(algorithm[2:])
    public = serialization.load_pem_public_key(key)
    signed, signature = f"{head}.{claims}".encode(), _decode_base64url(mark)
    try:
        # The key says which family there is; the token only which of its members.
        if isinstance(public, rsa.RSAPublicKey) and algorithm[:2] == "RS" and digest:
            public.verify(signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(public, rsa.RSAPublicKey) and algorithm[:2] == "PS" and digest:
            public.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        elif isinstance(public, ec.EllipticCurvePublicKey) and algorithm[:2] == "ES" and digest:
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            public.verify(encode_dss_signature(*pair), signed, ec.ECDSA(digest))
        else:
            raise ValueError(f"the algorithm {algorithm} is none for this key")
    except InvalidSignature:
        raise ValueError("it is not by this key") from None
    payload: dict[str, Any] = orjson.loads(_decode_base64url(claims))
    return payload


def _decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
