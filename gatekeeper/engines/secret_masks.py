"""Hides the values of Secrets in the messages of policies, which may repeat a value that they refuse."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from gatekeeper.model import Finding, Gap, Resource

HIDDEN = "(hidden)"
SECTIONS = ("data", "stringData")
# A part of a value is hidden from this length on: shorter ones are in too many other texts.
MIN_PART_LENGTH = 6
# Shorter values are hidden as whole words only.
MIN_VALUE_LENGTH = 4
# Values of other Secrets than the one that a message is about; shorter ones may be there by chance.
MIN_FOREIGN_LENGTH = 8


class SecretMask:
    """The values of one Secret, and what is no secret: its name, namespace and type, and the keys of its values.

    Args:
        secret: the object.
    """

    def __init__(self, secret: Any) -> None:
        self._values = sorted(set(list_values(secret)), key=len, reverse=True)
        self._text = "\n".join(self._values).lower()
        self._public = _format_public_fields(secret).lower()

    def hide(self, text: str, policy: str = "") -> str:
        """The text with `(hidden)` in place of values and parts of them, in any letter case.

        Args:
            policy: the text of the policy that wrote it: what stands there is no secret.
        """
        public = f"{self._public}\n{policy.lower()}"
        for value in self._values:
            if value.lower() not in public:
                text = _replace_value(text, value)
        return "".join(self._hide_parts(text, public))

    def _hide_parts(self, text: str, public: str) -> Iterator[str]:
        # Some letters get longer as small letters; then the positions would not agree.
        lower = text.lower() if len(text.lower()) == len(text) else text
        start = 0
        while start < len(text):
            end = start + MIN_PART_LENGTH
            if lower[start:end] not in self._text or end > len(text):
                yield text[start]
                start += 1
                continue
            while end < len(text) and lower[start : end + 1] in self._text:
                end += 1
            if lower[start:end] in public:
                yield text[start]
                start += 1
            else:
                yield HIDDEN
                start = end


def is_secret(resource: Resource) -> bool:
    """Whether a resource is a Secret of Kubernetes."""
    return resource.ref.kind == "Secret" and resource.ref.api_version == "v1"


def hide_values(text: str, resource: Resource, policy: str = "") -> str:
    """A text about a resource; if that is a Secret, without its values.

    Args:
        policy: see `SecretMask.hide`.
    """
    return _build_mask(resource.json).hide(text, policy) if is_secret(resource) else text


# The messages about one Secret follow each other.
@functools.lru_cache(maxsize=1)
def _build_mask(secret: bytes) -> SecretMask:
    return SecretMask(orjson.loads(secret))


def hide_foreign_values(
    findings: Sequence[Finding], gaps: Sequence[Gap], resources: Iterable[Resource]
) -> tuple[list[Finding], list[Gap]]:
    """Findings and gaps without values of Secrets that a policy read while it judged another object.

    Args:
        resources: all that a policy may read; the Secrets among them count.
    """
    everything = "\n".join([*(finding.message for finding in findings), *(gap.reason for gap in gaps)])
    values = {value for secret in filter(is_secret, resources) for value in list_values(secret.value)}
    found = [value for value in values if len(value) >= MIN_FOREIGN_LENGTH and value in everything]
    found.sort(key=len, reverse=True)

    def hide(text: str) -> str:
        for value in found:
            text = text.replace(value, HIDDEN)
        return text

    return (
        [finding._replace(message=hide(finding.message)) for finding in findings],
        [gap._replace(reason=hide(gap.reason)) for gap in gaps],
    )


def list_values(secret: Any) -> Iterator[str]:
    """The values of a Secret (an object), as they are and in the other one of plain text and Base64."""
    for section in SECTIONS:
        entries = secret.get(section)
        for entry in entries.values() if isinstance(entries, dict) else ():
            text = entry if isinstance(entry, str) else orjson.dumps(entry).decode()
            encoded = base64.b64encode(text.encode()).decode()
            forms = (text, _decode(text)) if section == "data" else (text, encoded)
            yield from filter(None, (form.strip() for form in forms))


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _format_public_fields(secret: Any) -> str:
    metadata = secret.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    known = [
        secret.get("apiVersion"),
        secret.get("kind"),
        secret.get("type"),
        names.get("namespace"),
        names.get("name"),
    ]
    known += [list(secret[section]) for section in SECTIONS if isinstance(secret.get(section), dict)]
    return orjson.dumps(known).decode()


def _replace_value(text: str, value: str) -> str:
    if len(value) >= MIN_VALUE_LENGTH:
        return text.replace(value, HIDDEN)
    return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, text)
