"""Transforming what a store returned into the values of a Secret: extracting, decoding, and renaming keys.

Source: external-secrets `pkg/esutils/utils.go`, `pkg/provider/vault/client_get.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets.model import KeyRewrite
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault, KeyRename
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StructuredSecret, encode_go_json
from gatekeeper.upstream import expressions
from gatekeeper.upstream.expressions import PathLookup, PatternRename

SecretValues = dict[str, SecretBytes]
MAX_KEY_BYTES = 253
# The characters with a meaning in a gjson path.
GJSON_SPECIAL = compile_lazily(r"([.*?|#@!{}\[\]()=<>%\\])")
# A path that consists of names only.
SIMPLE_PATH = compile_lazily(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*", re.ASCII)


class ValueTransformError(GatekeeperError):
    """A value cannot be transformed; the message never contains the value."""

    exit_code = 1


def extract_parts(texts: Sequence[tuple[SecretBytes, str]]) -> list[SecretBytes | None]:
    """Return the part of each text at a path, in order; None for a path that does not exist.

    A key that equals the whole path comes first; otherwise the path is a gjson path.

    Args:
        texts: each text, and the path in it; an empty path selects the whole text.

    Raises:
        ToolError: the program that evaluates gjson paths is missing.
    """
    parts: dict[int, SecretBytes | None] = {}
    lookups: list[tuple[int, PathLookup]] = []
    for number, (text, path) in enumerate(texts):
        part = text if not path else _find_part(text, path)
        if isinstance(part, PathLookup):
            lookups.append((number, part))
        else:
            parts[number] = part
    if lookups:
        answers = expressions.look_up_paths([lookup for _, lookup in lookups])
        parts.update(zip((number for number, _ in lookups), answers, strict=True))
    return [parts[number] for number in range(len(texts))]


def _find_part(text: SecretBytes, path: str) -> SecretBytes | PathLookup | None:
    """Return the part at a path, or the lookup that finds it with the Go program."""
    if isinstance(text, StructuredSecret):
        # The first step is the name of a part; the rest is a path in the value of that part.
        name, _, rest = (path, "", "") if path in text.parts else path.partition(".")
        part = text.parts.get(name)
        if part is not None and rest:
            return PathLookup(part, rest)
        return part if path in text.parts else None
    value = _parse_json(text)
    if isinstance(value, dict) and path in value:
        if isinstance(value[path], str):
            return SecretBytes(value[path].encode("utf-8", "surrogatepass"))
        return PathLookup(text, GJSON_SPECIAL.sub(r"\\\1", path))
    plain = _walk_path(value, path) if SIMPLE_PATH.fullmatch(path) else None
    if isinstance(plain, str):
        # The same result as that of the Go program, without starting it.
        return SecretBytes(plain.encode("utf-8", "surrogatepass"))
    return PathLookup(text, path)


def _walk_path(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def extract_values(text: SecretBytes) -> SecretValues:
    """Return the values of a JSON object by key: texts unchanged, any other value as JSON.

    Raises:
        ValueTransformError: the text is not a JSON object.
        ToolError: the program that evaluates gjson paths is missing.
    """
    if isinstance(text, StructuredSecret):
        return dict(text.parts)
    value = _parse_json(text)
    if not isinstance(value, dict):
        raise ValueTransformError("is not a JSON object, so it has no keys to extract")
    values = {
        key: SecretBytes(item.encode("utf-8", "surrogatepass")) for key, item in value.items() if isinstance(item, str)
    }
    values.update((key, SecretBytes(b"")) for key, item in value.items() if item is None)
    others = [key for key in value if key not in values]
    if others:
        lookups = [PathLookup(text, GJSON_SPECIAL.sub(r"\\\1", key), True) for key in others]
        answers = expressions.look_up_paths(lookups)
        values.update((key, answer or SecretBytes(b"")) for key, answer in zip(others, answers, strict=True))
    return {key: values[key] for key in value}


def _parse_json(text: SecretBytes) -> Any:
    try:
        return json.loads(text.reveal())
    except (ValueError, RecursionError):
        return None


def decode_value(value: SecretBytes, strategy: str) -> SecretBytes:
    """Decode a value from base64, by a decoding strategy; `Auto` returns a value that is not base64 unchanged.

    Raises:
        ValueTransformError: the value is not valid base64.
    """
    if strategy == "None":
        return value
    alphabets = {"Base64": (b"+/",), "Base64URL": (b"-_",), "Auto": (b"+/", b"-_")}[strategy]
    for alphabet in alphabets:
        try:
            # The decoder of Go ignores line ends, and accepts no other character outside the alphabet.
            text = value.reveal().replace(b"\r", b"").replace(b"\n", b"")
            return SecretBytes(base64.b64decode(text, altchars=alphabet, validate=True))
        except (binascii.Error, ValueError):
            continue
    if strategy == "Auto":
        return value
    raise ValueTransformError(f"is not valid {strategy}, which `decodingStrategy` requires")


def convert_keys(values: SecretValues, strategy: str) -> SecretValues:
    """Rename the keys so that a Secret accepts them: an invalid character becomes `_`, or `_U0020_` with `Unicode`.

    Raises:
        ValueTransformError: two keys become equal.
    """
    converted: SecretValues = {}
    for key, value in values.items():
        new_key = "".join(
            char if _is_valid_key_char(char) else "_" if strategy == "Default" else f"_U{ord(char):04x}_"
            for char in key
        )
        if new_key in converted:
            raise ValueTransformError(f"two keys become `{new_key}`; rename them with `rewrite`")
        converted[new_key] = value
    return converted


def check_keys(values: SecretValues) -> SecretValues:
    """Check that a Secret accepts the keys; return the values without one whose key is empty.

    Raises:
        ValueTransformError: a key is too long or has an invalid character.
    """
    for key in values:
        if len(key.encode()) > MAX_KEY_BYTES:
            raise ValueTransformError(f"the key `{key[:40]}…` is longer than {MAX_KEY_BYTES} bytes")
        invalid = next((char for char in key if not _is_valid_key_char(char)), "")
        if invalid:
            raise ValueTransformError(
                f"the key `{key}` contains `{invalid}`: a Secret accepts letters, digits, `-`, `_` and `.`"
            )
    return {key: value for key, value in values.items() if key}


def _is_valid_key_char(char: str) -> bool:
    return char.isalpha() or char.isnumeric() or char in "-_."


def rewrite_keys(values: SecretValues, rules: Sequence[KeyRewrite]) -> SecretValues:
    """Rename the keys by rules, in order.

    Raises:
        ValueTransformError: a rule cannot be applied; the message names the rule.
        ToolError: the program that evaluates Go patterns is missing.
    """
    for number, rule in enumerate(rules):
        try:
            values = _merge_values(values, rule) if rule.kind == "Merge" else _rename_keys(values, rule)
        except ValueTransformError as error:
            raise ValueTransformError(f"`rewrite[{number}]` {error}") from None
    return values


def _rename_keys(values: SecretValues, rule: KeyRewrite) -> SecretValues:
    keys = tuple(values)
    if rule.kind == "Transform":
        names = client.rename_keys(KeyRename(keys, rule.source))
    else:
        names = expressions.rename_by_pattern(PatternRename(keys, rule.source, rule.target))
    if isinstance(names, GoFault):
        raise ValueTransformError(names.reason)
    return {name: values[key] for key, name in zip(keys, names, strict=True)}


def _merge_values(values: SecretValues, rule: KeyRewrite) -> SecretValues:
    """Merge the JSON objects of the values into one; the last in order wins."""
    order = [*sorted(key for key in values if key not in rule.priority), *rule.priority]
    merged: dict[str, Any] = {}
    for key in order:
        if key not in values:
            if rule.is_strict:
                raise ValueTransformError(f"names `{key}`, which is missing")
            continue
        value = _parse_json(values[key])
        if not isinstance(value, dict):
            raise ValueTransformError(f"`{key}` is not a JSON object")
        duplicates = sorted(merged.keys() & value.keys())
        if duplicates and not rule.is_conflict_allowed:
            raise ValueTransformError(f"`{duplicates[0]}` is in two of the values")
        merged.update(value)
    if rule.is_json:
        return {**values, rule.into: SecretBytes(encode_go_json(merged))}
    return {key: _encode_value(value) for key, value in merged.items()}


def _encode_value(value: Any) -> SecretBytes:
    if isinstance(value, str):
        return SecretBytes(value.encode("utf-8", "surrogatepass"))
    return SecretBytes(b"" if value is None else encode_go_json(value))


def wrap_texts(texts: Mapping[str, str]) -> SecretValues:
    """Return texts as values."""
    return {key: SecretBytes(text.encode()) for key, text in texts.items()}


def encode_data(values: SecretValues) -> dict[str, str]:
    """Encode values in base64, sorted by key, for the field `data` of a Secret."""
    return {key: base64.b64encode(values[key].reveal()).decode("ascii") for key in sorted(values)}


def decode_data(data: Mapping[str, str]) -> SecretValues:
    """Decode the field `data` of a Secret."""
    return {key: SecretBytes(base64.b64decode(text)) for key, text in data.items()}
