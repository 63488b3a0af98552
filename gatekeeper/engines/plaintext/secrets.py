"""Finds secrets that are readable in the repository. Values are never shown."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.findings import build_finding
from gatekeeper.engines.plaintext import embedded_sops, leaks
from gatekeeper.model import FieldPath, Finding, Gap, Resource, get_field
from gatekeeper.workspace.documents import EXTENSIONS, ParsedFile
from gatekeeper.workspace.tree import Tree

# Allowed as a plaintext value: an empty text, a placeholder of a template or of Flux, or ciphertext.
PLACEHOLDER = re.compile(r"ENC\[AES256_GCM,.*\]|\$\{.*\}|<[^<>]*>|\{\{.*\}\}|", re.DOTALL)
PUBLIC_TYPES = {"kubernetes.io/service-account-token"}
PUBLIC_KEYS = {"ca.crt", "tls.crt", "known_hosts", "username", "url", "type", "name", "project"}


def evaluate(
    tree: Tree, parsed_files: Sequence[ParsedFile], resources: Sequence[Resource], config: Config
) -> tuple[list[Finding], list[Gap]]:
    """Finds plaintext values of Secrets, and leaked credentials in any file."""
    findings = [finding for resource in resources for finding in _check_resource(resource)]
    scanner, unused = leaks.load_scanner(tree, config)
    secret_files = {finding.location.file for finding in findings if finding.rule == "plaintext/secret"}
    skip = {source.file for source in parsed_files if source.role == "encrypted"}
    leaked, gaps = leaks.scan_tree(tree, scanner, skip)
    # Each value of such a Secret is reported already; do not report it again for each leak rule that matches.
    findings.extend(
        leak for leak in leaked if not (leak.location.file in secret_files and leak.location.file.endswith(EXTENSIONS))
    )
    return findings, [*unused, *gaps]


def _check_resource(resource: Resource) -> Iterator[Finding]:
    if resource.ref.kind == "Secret" and resource.ref.api_version == "v1":
        yield from _check_secret(resource, resource.value)
    elif resource.ref.kind == "SealedSecret":
        yield from _check_template(resource, resource.value)


def _check_secret(resource: Resource, value: dict[str, Any]) -> Iterator[Finding]:
    if "sops" in value:
        yield from _check_unencrypted_values(resource, value)
        return
    if value.get("type") in PUBLIC_TYPES:
        return
    for section in ("data", "stringData"):
        entries = value.get(section)
        for key, text in entries.items() if isinstance(entries, dict) else ():
            plain = _decode_value(text) if section == "data" else text
            if plain is None:
                message = f"`{section}.{key}` is not valid base64"
                hint = "encode it in base64, or use stringData"
                yield build_finding(resource, "plaintext/not-base64", message, (section, key), hint=hint, is_key=True)
            elif isinstance(plain, str) and key not in PUBLIC_KEYS and not PLACEHOLDER.fullmatch(plain.strip()):
                yield from _check_value(resource, (section, key), plain)


def _check_value(resource: Resource, path: FieldPath, plain: str) -> Iterator[Finding]:
    """Reports a value of a Secret, unless it is a whole file that sops encrypted."""
    is_encrypted = embedded_sops.has_encrypted_values(plain)
    if is_encrypted:
        return
    message = f"Secret value `{'.'.join(map(str, path))}` is stored in plaintext"
    hint = (
        "encrypt it (SealedSecret, SOPS) or read it from a store (ExternalSecret); "
        "rotate the secret, because the value is in the Git history"
    )
    if is_encrypted is False:
        message += ": it is a SOPS document without an encrypted value"
        hint = "correct `encrypted_regex` in its `sops` metadata: it must match the names of the secret values"
    yield build_finding(resource, "plaintext/secret", message, path, hint=hint, is_key=True)


def _decode_value(text: Any) -> str | None:
    """Decodes base64 to text; None if the text is not base64."""
    if not isinstance(text, str):
        return ""
    if PLACEHOLDER.fullmatch(text.strip()):
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return None


def _check_template(resource: Resource, value: dict[str, Any]) -> Iterator[Finding]:
    """Reports values in the template of a SealedSecret that look like secrets."""
    data = get_field(value, ("spec", "template", "data"))
    for key, text in data.items() if isinstance(data, dict) else ():
        if isinstance(text, str) and "{{" not in text and key not in PUBLIC_KEYS and leaks.is_random(text):
            path = ("spec", "template", "data", key)
            message = f"template value `{key}` is stored in plaintext"
            yield build_finding(resource, "plaintext/secret", message, path, hint="seal it", is_key=True)


def _check_unencrypted_values(resource: Resource, value: dict[str, Any]) -> Iterator[Finding]:
    """Reports plaintext values of a Secret that sops encrypted."""
    for section in ("data", "stringData"):
        entries = value.get(section)
        for key, text in entries.items() if isinstance(entries, dict) else ():
            if isinstance(text, str) and text and not text.startswith(embedded_sops.CIPHERTEXT_MARK):
                message = f"`{section}.{key}` is stored in plaintext, although sops encrypted other values of the file"
                hint = "encrypt the file again with sops"
                yield build_finding(resource, "plaintext/secret", message, (section, key), hint=hint, is_key=True)
