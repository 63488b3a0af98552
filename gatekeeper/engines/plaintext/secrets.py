"""Finds secrets that are readable in the repository. Values are never shown."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.findings import build_finding
from gatekeeper.engines.plaintext import embedded_sops, leaks, reported_values
from gatekeeper.engines.plaintext.reported_values import ReportedValue
from gatekeeper.model import FieldPath, Finding, Gap, Resource, get_field
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree

# Allowed as a plaintext value: an empty text, a placeholder of a template or of Flux, or ciphertext.
PLACEHOLDER = re.compile(r"ENC\[AES256_GCM,.*\]|\$\{.*\}|<[^<>]*>|\{\{.*\}\}|", re.DOTALL)
PUBLIC_TYPES = {"kubernetes.io/service-account-token"}
PUBLIC_KEYS = {"ca.crt", "tls.crt", "known_hosts", "username", "url", "type", "name", "project"}


def evaluate(
    tree: Tree, parsed_files: Sequence[ParsedFile], resources: Sequence[Resource], config: Config
) -> tuple[list[Finding], list[Gap]]:
    """Finds plaintext values of Secrets, and leaked credentials in any file."""
    reported = [found for resource in resources for found in _check_resource(resource)]
    scanner, unused = leaks.load_scanner(tree, config)
    skip = {source.file for source in parsed_files if source.role == "encrypted"}
    candidates, gaps = leaks.scan_tree(tree, scanner, skip)
    # A value that is reported already is not reported again for each leak rule that matches.
    leaked = leaks.deduplicate_by_line(reported_values.exclude_covered(tree, candidates, reported))
    return [*(value.finding for value in reported), *leaked], [*unused, *gaps]


def _check_resource(resource: Resource) -> Iterator[ReportedValue]:
    if resource.ref.kind == "Secret" and resource.ref.api_version == "v1":
        yield from _check_secret(resource, resource.value)
    elif resource.ref.kind == "SealedSecret":
        yield from _check_template(resource, resource.value)


def _check_secret(resource: Resource, value: dict[str, Any]) -> Iterator[ReportedValue]:
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
                finding = build_finding(
                    resource, "plaintext/not-base64", message, (section, key), hint=hint, is_key=True
                )
                yield ReportedValue(finding)
            elif isinstance(plain, str) and key not in PUBLIC_KEYS and not PLACEHOLDER.fullmatch(plain.strip()):
                yield from _check_value(resource, (section, key), plain, text)


def _check_value(resource: Resource, path: FieldPath, plain: str, raw: str) -> Iterator[ReportedValue]:
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
    yield _report_value(resource, path, message, hint, plain, raw)


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


def _check_template(resource: Resource, value: dict[str, Any]) -> Iterator[ReportedValue]:
    """Reports values in the template of a SealedSecret that look like secrets."""
    data = get_field(value, ("spec", "template", "data"))
    for key, text in data.items() if isinstance(data, dict) else ():
        if isinstance(text, str) and "{{" not in text and key not in PUBLIC_KEYS and leaks.is_random(text):
            path = ("spec", "template", "data", key)
            yield _report_value(resource, path, f"template value `{key}` is stored in plaintext", "seal it", text)


def _check_unencrypted_values(resource: Resource, value: dict[str, Any]) -> Iterator[ReportedValue]:
    """Reports plaintext values of a Secret that sops encrypted."""
    for section in ("data", "stringData"):
        entries = value.get(section)
        for key, text in entries.items() if isinstance(entries, dict) else ():
            if isinstance(text, str) and text and not text.startswith(embedded_sops.CIPHERTEXT_MARK):
                message = f"`{section}.{key}` is stored in plaintext, although sops encrypted other values of the file"
                hint = "encrypt the file again with sops"
                yield _report_value(resource, (section, key), message, hint, text)


def _report_value(resource: Resource, path: FieldPath, message: str, hint: str, *texts: str) -> ReportedValue:
    finding = build_finding(resource, "plaintext/secret", message, path, hint=hint, is_key=True)
    return ReportedValue(finding, texts)
