"""Verifies the signature of an OPA bundle: a JWT over the hashes of its files.

Source: https://www.openpolicyagent.org/docs/management-bundles#signing and OPA `v1/bundle/{hash,verify}.go`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gatekeeper.errors import PolicyError
from gatekeeper.workspace import documents

HASH_ALGORITHMS = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
# Files whose values are signed instead of their bytes.
STRUCTURED_FILES = ("data.json", "data.yaml", "data.yml", ".manifest")


def verify_bundle(files: Mapping[str, bytes], signatures: bytes, key: bytes, name: str) -> None:
    """Verifies that a key signed exactly these files.

    Args:
        files: the contents of all files of the bundle except `.signatures.json`.
        signatures: the content of `.signatures.json`.
        key: a public key in PEM.
        name: the name of the bundle in messages.

    Raises:
        PolicyError: the signature is invalid or by another key, or a file was added, removed or changed.
    """
    try:
        [token] = orjson.loads(signatures)["signatures"]
        claims = _verify_token(str(token), key)
        entries = {str(entry["name"]).lstrip("/"): entry for entry in claims["files"]}
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise PolicyError(f"{name}: invalid signature: {error}") from error
    for file in files.keys() - entries.keys():
        raise PolicyError(f"{name}: {file} is not signed")
    for file in entries.keys() - files.keys():
        raise PolicyError(f"{name}: the signed file {file} is missing")
    for file, entry in entries.items():
        algorithm = HASH_ALGORITHMS.get(str(entry.get("algorithm")))
        if algorithm is None:
            supported = ", ".join(HASH_ALGORITHMS)
            raise PolicyError(f"{name}: {file} has the hash algorithm {entry.get('algorithm')!r}, not {supported}")
        if hashlib.new(algorithm, _canonicalize(file, files[file])).hexdigest() != entry.get("hash"):
            raise PolicyError(f"{name}: {file} was changed after it was signed")


def _canonicalize(file: str, content: bytes) -> bytes:
    """The bytes that are hashed: sorted JSON for structured files."""
    if not file.endswith(STRUCTURED_FILES):
        return content
    parsed, failure = documents.parse(content)
    if failure is not None or not parsed:
        return content
    return orjson.dumps(documents.to_value(parsed[0]), option=orjson.OPT_SORT_KEYS)


def _verify_token(token: str, key: bytes) -> dict[str, Any]:
    """Returns the claims of a JWT whose signature is by a key; raises ValueError otherwise."""
    header, claims, signature_text = token.split(".")
    algorithm = str(orjson.loads(_decode_base64url(header)).get("alg"))
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.get(algorithm[2:])
    public_key = serialization.load_pem_public_key(key)
    signed, signature = f"{header}.{claims}".encode(), _decode_base64url(signature_text)
    try:
        # The key decides on the family of algorithms, the token only on the member: no confusion of keys.
        if isinstance(public_key, rsa.RSAPublicKey) and algorithm[:2] == "RS" and digest:
            public_key.verify(signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(public_key, rsa.RSAPublicKey) and algorithm[:2] == "PS" and digest:
            public_key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        elif isinstance(public_key, ec.EllipticCurvePublicKey) and algorithm[:2] == "ES" and digest:
            half = len(signature) // 2
            numbers = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            public_key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(digest))
        else:
            raise ValueError(f"the algorithm {algorithm} does not fit the key")
    except InvalidSignature:
        raise ValueError("signed by another key") from None
    payload: dict[str, Any] = orjson.loads(_decode_base64url(claims))
    return payload


def _decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
