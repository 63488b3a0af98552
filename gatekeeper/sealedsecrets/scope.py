"""The scope that binds a sealed value to its name and namespace, and the annotations that record it.

This module needs no cryptography. Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

from typing import Any

from gatekeeper.model import FieldPath, get_field

ANNOTATION_PREFIX = "sealedsecrets.bitnami.com/"
SCOPES = ("strict", "namespace-wide", "cluster-wide")
SCOPE_ANNOTATIONS = tuple(ANNOTATION_PREFIX + scope for scope in ("namespace-wide", "cluster-wide"))
# The fingerprint of the certificate that a file is sealed with, so that the right key is tried first.
SEALED_WITH_ANNOTATION = "gatekeeper-gitops.io/sealed-with"
# Earlier releases wrote this name; it is still read.
FORMER_SEALED_WITH_ANNOTATION = "gatekeeper/sealed-with"


def build_label(scope: str, namespace: str, name: str) -> bytes:
    """Return the label of the encryption, which binds a sealed value to its scope."""
    labels = {"strict": f"{namespace}/{name}", "namespace-wide": namespace, "cluster-wide": ""}
    return labels[scope].encode()


def parse_scope(annotations: Any) -> str:
    """Return the scope that the annotations of an object set; the widest one wins."""
    values = annotations if isinstance(annotations, dict) else {}
    return next((scope for scope in reversed(SCOPES) if values.get(ANNOTATION_PREFIX + scope) == "true"), "strict")


def find_sealed_with(sealed_secret: Any) -> tuple[FieldPath, str]:
    """Return the path and value of the annotation with the certificate fingerprint; both empty if there is none."""
    for annotation in (SEALED_WITH_ANNOTATION, FORMER_SEALED_WITH_ANNOTATION):
        path = ("metadata", "annotations", annotation)
        fingerprint = get_field(sealed_secret, path)
        if isinstance(fingerprint, str) and fingerprint:
            return path, fingerprint
    return (), ""
