"""From what a store holds to the values of a Secret: a part of it, its keys in a form that Secrets take, decoded.

Source: external-secrets `pkg/esutils/utils.go`, `pkg/provider/vault/client_get.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets.model import KeyRewrite
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault, KeyRename, PathLookup
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StructuredSecret, encode_go_json

SecretValues = dict[str, SecretBytes]
MAX_KEY_BYTES = 253
# What means something in a path of gjson.
GJSON_SPECIAL = re.compile(r"([.*?|#@!{}\[\]()=<>%\\])")
# A path of names and nothing else.
SIMPLE_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*", re.ASCII)


class ValueTransformError(GateError):
    """A value cannot be made: what of it, and why; never with what it is."""

    exit_code = 1


def extract_parts(texts: Sequence[tuple[SecretBytes, str]]) -> list[SecretBytes | None]:
    """The part of each text that a path names; None where it leads nowhere.

    A key that is called as the path comes first; then the path is one of gjson.
    """
    found: dict[int, SecretBytes | None] = {}
    lookups: list[tuple[int, PathLookup]] = []
    for number, (text, path) in enumerate(texts):
        if not path:
            found[number] = text
            continue
        if isinstance(text, StructuredSecret):
            # There the first step is a name, and what follows is a path into the value of that name.
            name, _, rest = (path, "", "") if path in text.parts else path.partition(".")
            part = text.parts.get(name)
            if part is None or not rest:
                found[number] = part if path in text.parts else None
            else:
                lookups.append((number, PathLookup(part, rest)))
            continue
        value = _parse_json(text)
        plain = _walk_path(value, path) if SIMPLE_PATH.fullmatch(path) else None
        if isinstance(value, dict) and path in value:
            if isinstance(value[path], str):
                found[number] = SecretBytes(value[path].encode("utf-8", "surrogatepass"))
            else:
                lookups.append((number, PathLookup(text, GJSON_SPECIAL.sub(r"\\\1", path))))
        elif isinstance(plain, str):
            # What the program in Go would say, too, without starting it.
            found[number] = SecretBytes(plain.encode("utf-8", "surrogatepass"))
        else:
            lookups.append((number, PathLookup(text, path)))
    if lookups:
        answers = client.look_up_paths([lookup for _, lookup in lookups])
        found.update(zip((number for number, _ in lookups), answers, strict=True))
    return [found[number] for number in range(len(texts))]


def _walk_path(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def extract_values(text: SecretBytes) -> SecretValues:
    """The values in a JSON object, by key: texts as they are, all else as JSON.

    Raises:
        ValueFault: it is no JSON object.
    """
    if isinstance(text, StructuredSecret):
        return dict(text.parts)
    value = _parse_json(text)
    if not isinstance(value, dict):
        raise ValueTransformError("is no JSON object, so that it has no keys to extract")
    found = {
        key: SecretBytes(held.encode("utf-8", "surrogatepass")) for key, held in value.items() if isinstance(held, str)
    }
    found.update((key, SecretBytes(b"")) for key, held in value.items() if held is None)
    others = [key for key in value if key not in found]
    if others:
        answers = client.look_up_paths([PathLookup(text, GJSON_SPECIAL.sub(r"\\\1", key), True) for key in others])
        found.update((key, answer or SecretBytes(b"")) for key, answer in zip(others, answers, strict=True))
    return {key: found[key] for key in value}


def _parse_json(text: SecretBytes) -> Any:
    try:
        return json.loads(text.reveal())
    except (ValueError, RecursionError):
        return None


def decode_value(value: SecretBytes, strategy: str) -> SecretBytes:
    """A value, decoded from base64 where that is asked for. `Auto` takes what can be decoded, and else the value.

    Raises:
        ValueFault: it is no base64.
    """
    if strategy == "None":
        return value
    alphabets = {"Base64": (b"+/",), "Base64URL": (b"-_",), "Auto": (b"+/", b"-_")}[strategy]
    for alphabet in alphabets:
        try:
            # Go's decoder leaves line ends out, and takes nothing else that is not of the alphabet.
            text = value.reveal().replace(b"\r", b"").replace(b"\n", b"")
            return SecretBytes(base64.b64decode(text, altchars=alphabet, validate=True))
        except (binascii.Error, ValueError):
            continue
    if strategy == "Auto":
        return value
    raise ValueTransformError(f"is no {strategy}, as `decodingStrategy` says it is")


def convert_keys(values: SecretValues, strategy: str) -> SecretValues:
    """The same values under keys that a Secret takes: other signs become `_`, or `_U0020_` with `Unicode`.

    Raises:
        ValueFault: two keys become the same.
    """
    found: SecretValues = {}
    for key, value in values.items():
        new = "".join(
            sign if _is_valid_key_char(sign) else "_" if strategy == "Default" else f"_U{ord(sign):04x}_"
            for sign in key
        )
        if new in found:
            raise ValueTransformError(f"two keys become `{new}`; name them anew with `rewrite`")
        found[new] = value
    return found


def check_keys(values: SecretValues) -> SecretValues:
    """The same values, if a Secret takes their keys; one without a name is left out.

    Raises:
        ValueFault: it does not take one.
    """
    for key in values:
        if len(key.encode()) > MAX_KEY_BYTES:
            raise ValueTransformError(f"the key `{key[:40]}…` is longer than {MAX_KEY_BYTES} bytes")
        wrong = next((sign for sign in key if not _is_valid_key_char(sign)), "")
        if wrong:
            raise ValueTransformError(
                f"the key `{key}` has `{wrong}`: a Secret takes letters, digits, `-`, `_` and `.`"
            )
    return {key: value for key, value in values.items() if key}


def _is_valid_key_char(char: str) -> bool:
    return char.isalpha() or char.isnumeric() or char in "-_."


def rewrite_keys(values: SecretValues, rules: Sequence[KeyRewrite]) -> SecretValues:
    """The same values under new names, one rule after the other.

    Raises:
        ValueFault: a rule cannot be followed.
    """
    for number, rule in enumerate(rules):
        try:
            values = _merge_values(values, rule) if rule.kind == "Merge" else _rename_keys(values, rule)
        except ValueTransformError as error:
            raise ValueTransformError(f"`rewrite[{number}]` {error}") from None
    return values


def _rename_keys(values: SecretValues, rule: KeyRewrite) -> SecretValues:
    keys = tuple(values)
    is_template = rule.kind == "Transform"
    asked = KeyRename(keys, template=rule.source) if is_template else KeyRename(keys, rule.source, rule.target)
    names = client.rename_keys(asked)
    if isinstance(names, GoFault):
        raise ValueTransformError(names.reason)
    return {name: values[key] for key, name in zip(keys, names, strict=True)}


def _merge_values(values: SecretValues, rule: KeyRewrite) -> SecretValues:
    """What the values hold as JSON, in one; the last in order wins."""
    order = [*sorted(key for key in values if key not in rule.priority), *rule.priority]
    merged: dict[str, Any] = {}
    for key in order:
        if key not in values:
            if rule.is_strict:
                raise ValueTransformError(f"names `{key}`, which was not found")
            continue
        value = _parse_json(values[key])
        if not isinstance(value, dict):
            raise ValueTransformError(f"`{key}` is no JSON object")
        twice = sorted(merged.keys() & value.keys())
        if twice and not rule.is_conflict_allowed:
            raise ValueTransformError(f"`{twice[0]}` is in two of the values")
        merged.update(value)
    if rule.is_json:
        return {**values, rule.into: SecretBytes(encode_go_json(merged))}
    return {key: _encode_value(value) for key, value in merged.items()}


def _encode_value(value: Any) -> SecretBytes:
    if isinstance(value, str):
        return SecretBytes(value.encode("utf-8", "surrogatepass"))
    return SecretBytes(b"" if value is None else encode_go_json(value))


def wrap_texts(texts: Mapping[str, str]) -> SecretValues:
    """Texts that stand in a manifest, as values."""
    return {key: SecretBytes(text.encode()) for key, text in texts.items()}
