"""The hashes that external-secrets stores in labels and annotations, computed as its Go code does.

Source: external-secrets `pkg/esutils/utils.go` (`ObjectHash`).
"""

from __future__ import annotations

import hashlib

from gatekeeper.externalsecrets.target.value_transforms import SecretValues


def compute_go_hash(text: str) -> str:
    """Return the SHA3-224 of a text, in hexadecimal."""
    return hashlib.sha3_224(text.encode("utf-8", "surrogatepass")).hexdigest()


def compute_data_hash(data: SecretValues) -> str:
    """Return the hash of the data of a Secret: the SHA3-224 of the map as Go prints it."""
    entries = (f"{key}:[{' '.join(map(str, data[key].reveal()))}]" for key in sorted(data, key=str.encode))
    return compute_go_hash(f"map[{' '.join(entries)}]")
