"""What binds a sealed value to its place, and how a SealedSecret tells it; without any cryptography.

Source: sealed-secrets `pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`.
"""

from __future__ import annotations

from typing import Any

ANNOTATION_PREFIX = "sealedsecrets.bitnami.com/"
SCOPES = ("strict", "namespace-wide", "cluster-wide")
# Which certificate a file is sealed with, so that the right key is tried first.
SEALED_WITH_ANNOTATION = "gatekeeper/sealed-with"


def build_label(scope: str, namespace: str, name: str) -> bytes:
    """What binds a sealed value to its place, by scope."""
    words = {"strict": f"{namespace}/{name}", "namespace-wide": namespace, "cluster-wide": ""}
    return words[scope].encode()


def parse_scope(annotations: Any) -> str:
    """The scope that an object's own annotations say; cluster-wide wins."""
    held = annotations if isinstance(annotations, dict) else {}
    return next((scope for scope in reversed(SCOPES) if held.get(ANNOTATION_PREFIX + scope) == "true"), "strict")
