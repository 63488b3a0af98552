"""Finds secrets that are readable in the repository. Values are never shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines import secret_masks
from gatekeeper.engines.plaintext import embedded_sops, leaks, random_values, reported_values, value_kinds
from gatekeeper.engines.plaintext.placeholders import CIPHERTEXT, MARK, mark_placeholders
from gatekeeper.engines.plaintext.reported_values import ReportedValue
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, Finding, Gap, Resource, get_field
from gatekeeper.render import second_rendering
from gatekeeper.workspace.tree import ParsedFile, Tree

# With this annotation, argocd-vault-plugin fills in placeholders such as `<password>`.
VAULT_PATH = ("metadata", "annotations", "avp.kubernetes.io/path")
RANDOM_HINT = (
    "encrypt a fixed value (SealedSecret, SOPS) or read one from a store (ExternalSecret), and let the chart use it: "
    "Argo CD replaces a random value at each sync, and Helm at each upgrade if the chart does not look it up"
)
SOPS_MAC = "sops_mac"
# Metadata of sops in dotenv files. Source: getsops/sops `stores/stores.go` (`Metadata`) and `stores/flatten.go`.
SOPS_METADATA = compile_lazily(
    r"sops_(?:mac|version|lastmodified|shamir_threshold|mac_only_encrypted|(?:un)?encrypted_(?:suffix|regex|comment_regex)"
    r"|\w+__(?:list|map)_\w+)"
)


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
    if secret_masks.is_secret(resource):
        yield from _check_secret(resource, resource.value)
    elif resource.ref.kind == "SealedSecret":
        yield from _check_template(resource, resource.value)


def _check_secret(resource: Resource, value: dict[str, Any]) -> Iterator[ReportedValue]:
    entries = list(_decode_values(value))
    if "sops" in value:
        yield from _check_unencrypted_values(resource, entries)
        return
    if any(path[1] == SOPS_MAC and _is_ciphertext(plain or "") for path, _, plain in entries):
        # A generator read a dotenv file that sops encrypted: Flux decrypts it, and removes the metadata.
        values = [entry for entry in entries if not SOPS_METADATA.fullmatch(str(entry[0][1]))]
        yield from _check_unencrypted_values(resource, values)
        return
    has_vault_path = isinstance(get_field(value, VAULT_PATH), str)
    for path, raw, plain in entries:
        if plain is None:
            message = f"`{'.'.join(map(str, path))}` is not valid base64"
            hint = "encode it in base64, or use stringData"
            yield ReportedValue(resource.build_finding("plaintext/not-base64", message, path, hint=hint, is_key=True))
        elif value_kinds.is_secret(str(path[1]), plain, has_vault_path):
            yield from _check_random_value(resource, path, plain) or _check_value(resource, path, plain, raw)


def _check_random_value(resource: Resource, path: FieldPath, plain: str) -> list[ReportedValue]:
    """Reports a value that Helm makes at random; nothing for a value that is in the repository."""
    other = second_rendering.find_other_value(resource, path)
    other_plain = _decode_value(other) if other is not None and path[0] == "data" else other
    if other_plain is None or not random_values.is_random(plain, other_plain):
        return []
    message = f"Secret value `{'.'.join(map(str, path))}` is new with each rendering: the chart makes it at random"
    finding = resource.build_finding(
        "render/random-value", message, path, hint=RANDOM_HINT, severity="warning", is_key=True
    )
    return [ReportedValue(finding)]


def _decode_values(value: dict[str, Any]) -> Iterator[tuple[FieldPath, str, str | None]]:
    """The values of a Secret: path, text in the file, and plain text; None for a text that is not base64."""
    for section in ("data", "stringData"):
        entries = value.get(section)
        for key, text in entries.items() if isinstance(entries, dict) else ():
            if isinstance(text, str):
                yield (section, key), text, _decode_value(text) if section == "data" else text


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


def _decode_value(text: str) -> str | None:
    """Decodes base64 to text; None if the text is not base64. A text with placeholders becomes base64 later."""
    if MARK in mark_placeholders(text):
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return None


def _check_template(resource: Resource, value: dict[str, Any]) -> Iterator[ReportedValue]:
    """Reports values in the template of a SealedSecret that look like secrets."""
    data = get_field(value, ("spec", "template", "data"))
    for key, text in data.items() if isinstance(data, dict) else ():
        if isinstance(text, str) and _is_secret_template(key, text):
            path = ("spec", "template", "data", key)
            yield _report_value(resource, path, f"template value `{key}` is stored in plaintext", "seal it", text)


def _is_secret_template(key: str, text: str) -> bool:
    """Whether a template has a secret outside of its actions; other text, such as a config file, is normal there."""
    marked = mark_placeholders(text).strip()
    if value_kinds.has_credentials(marked):
        return True
    if key in value_kinds.PUBLIC_KEYS or any(letter.isspace() for letter in marked):
        return False
    return leaks.is_random(marked) if MARK not in marked else value_kinds.has_generated_part(marked)


def _check_unencrypted_values(
    resource: Resource, entries: Iterable[tuple[FieldPath, str, str | None]]
) -> Iterator[ReportedValue]:
    """Reports plaintext values beside values that sops encrypted."""
    for path, raw, plain in entries:
        text = raw if plain is None else plain
        if not _is_ciphertext(raw) and not _is_ciphertext(text) and value_kinds.is_secret(str(path[1]), text):
            message = (
                f"`{'.'.join(map(str, path))}` is stored in plaintext, although sops encrypted other values of the file"
            )
            yield _report_value(resource, path, message, "encrypt the file again with sops", text, raw)


def _is_ciphertext(text: str) -> bool:
    return CIPHERTEXT.fullmatch(text.strip()) is not None


def _report_value(resource: Resource, path: FieldPath, message: str, hint: str, *texts: str) -> ReportedValue:
    finding = resource.build_finding("plaintext/secret", message, path, hint=hint, is_key=True)
    return ReportedValue(finding, texts)
