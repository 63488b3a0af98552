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
from gatekeeper.externalsecrets.model import Rewrite
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import Fault, Lookup, Rename
from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import Keyed, go_json

Values = dict[str, Hidden]
MOST_KEY = 253
# What means something in a path of gjson.
SPECIAL = re.compile(r"([.*?|#@!{}\[\]()=<>%\\])")
# A path of names and nothing else.
SIMPLE = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*", re.ASCII)


class ValueFault(GateError):
    """A value cannot be made: what of it, and why; never with what it is."""

    exit_code = 1


def parts(texts: Sequence[tuple[Hidden, str]]) -> list[Hidden | None]:
    """The part of each text that a path names; None where it leads nowhere.

    A key that is called as the path comes first; then the path is one of gjson.
    """
    found: dict[int, Hidden | None] = {}
    lookups: list[tuple[int, Lookup]] = []
    for number, (text, path) in enumerate(texts):
        if not path:
            found[number] = text
            continue
        if isinstance(text, Keyed):
            # There the first step is a name, and what follows is a path into the value of that name.
            name, _, rest = (path, "", "") if path in text.parts else path.partition(".")
            part = text.parts.get(name)
            if part is None or not rest:
                found[number] = part if path in text.parts else None
            else:
                lookups.append((number, Lookup(part, rest)))
            continue
        value = _loaded(text)
        plain = _walked(value, path) if SIMPLE.fullmatch(path) else None
        if isinstance(value, dict) and path in value:
            if isinstance(value[path], str):
                found[number] = Hidden(value[path].encode("utf-8", "surrogatepass"))
            else:
                lookups.append((number, Lookup(text, SPECIAL.sub(r"\\\1", path))))
        elif isinstance(plain, str):
            # What the program in Go would say, too, without starting it.
            found[number] = Hidden(plain.encode("utf-8", "surrogatepass"))
        else:
            lookups.append((number, Lookup(text, path)))
    if lookups:
        answers = client.ask(lookups=[lookup for _, lookup in lookups]).lookups
        found.update(zip((number for number, _ in lookups), answers, strict=True))
    return [found[number] for number in range(len(texts))]


def _walked(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def each(text: Hidden) -> Values:
    """The values in a JSON object, by key: texts as they are, all else as JSON.

    Raises:
        ValueFault: it is no JSON object.
    """
    if isinstance(text, Keyed):
        return dict(text.parts)
    value = _loaded(text)
    if not isinstance(value, dict):
        raise ValueFault("is no JSON object, so that it has no keys to extract")
    found = {key: Hidden(held.encode("utf-8", "surrogatepass")) for key, held in value.items() if isinstance(held, str)}
    found.update((key, Hidden(b"")) for key, held in value.items() if held is None)
    others = [key for key in value if key not in found]
    if others:
        answers = client.ask(lookups=[Lookup(text, SPECIAL.sub(r"\\\1", key), True) for key in others]).lookups
        found.update((key, answer or Hidden(b"")) for key, answer in zip(others, answers, strict=True))
    return {key: found[key] for key in value}


def _loaded(text: Hidden) -> Any:
    try:
        return json.loads(text.reveal())
    except (ValueError, RecursionError):
        return None


def decoded(value: Hidden, how: str) -> Hidden:
    """A value, decoded from base64 where that is asked for. `Auto` takes what can be decoded, and else the value.

    Raises:
        ValueFault: it is no base64.
    """
    if how == "None":
        return value
    alphabets = {"Base64": (b"+/",), "Base64URL": (b"-_",), "Auto": (b"+/", b"-_")}[how]
    for alphabet in alphabets:
        try:
            # Go's decoder leaves line ends out, and takes nothing else that is not of the alphabet.
            text = value.reveal().replace(b"\r", b"").replace(b"\n", b"")
            return Hidden(base64.b64decode(text, altchars=alphabet, validate=True))
        except (binascii.Error, ValueError):
            continue
    if how == "Auto":
        return value
    raise ValueFault(f"is no {how}, as `decodingStrategy` says it is")


def converted(values: Values, how: str) -> Values:
    """The same values under keys that a Secret takes: other signs become `_`, or `_U0020_` with `Unicode`.

    Raises:
        ValueFault: two keys become the same.
    """
    found: Values = {}
    for key, value in values.items():
        new = "".join(sign if _is_plain(sign) else "_" if how == "Default" else f"_U{ord(sign):04x}_" for sign in key)
        if new in found:
            raise ValueFault(f"two keys become `{new}`; name them anew with `rewrite`")
        found[new] = value
    return found


def checked(values: Values) -> Values:
    """The same values, if a Secret takes their keys; one without a name is left out.

    Raises:
        ValueFault: it does not take one.
    """
    for key in values:
        if len(key.encode()) > MOST_KEY:
            raise ValueFault(f"the key `{key[:40]}…` is longer than {MOST_KEY} bytes")
        wrong = next((sign for sign in key if not _is_plain(sign)), "")
        if wrong:
            raise ValueFault(f"the key `{key}` has `{wrong}`: a Secret takes letters, digits, `-`, `_` and `.`")
    return {key: value for key, value in values.items() if key}


def _is_plain(sign: str) -> bool:
    return sign.isalpha() or sign.isnumeric() or sign in "-_."


def rewritten(values: Values, rules: Sequence[Rewrite]) -> Values:
    """The same values under new names, one rule after the other.

    Raises:
        ValueFault: a rule cannot be followed.
    """
    for number, rule in enumerate(rules):
        try:
            values = _merged(values, rule) if rule.kind == "Merge" else _renamed(values, rule)
        except ValueFault as error:
            raise ValueFault(f"`rewrite[{number}]` {error}") from None
    return values


def _renamed(values: Values, rule: Rewrite) -> Values:
    keys = tuple(values)
    is_template = rule.kind == "Transform"
    asked = Rename(keys, template=rule.source) if is_template else Rename(keys, rule.source, rule.target)
    [names] = client.ask(renames=[asked]).renames
    if isinstance(names, Fault):
        raise ValueFault(names.reason)
    return {name: values[key] for key, name in zip(keys, names, strict=True)}


def _merged(values: Values, rule: Rewrite) -> Values:
    """What the values hold as JSON, in one; the last in order wins."""
    order = [*sorted(key for key in values if key not in rule.priority), *rule.priority]
    merged: dict[str, Any] = {}
    for key in order:
        if key not in values:
            if rule.strict:
                raise ValueFault(f"names `{key}`, which was not found")
            continue
        value = _loaded(values[key])
        if not isinstance(value, dict):
            raise ValueFault(f"`{key}` is no JSON object")
        twice = sorted(merged.keys() & value.keys())
        if twice and not rule.conflicts:
            raise ValueFault(f"`{twice[0]}` is in two of the values")
        merged.update(value)
    if rule.as_json:
        return {**values, rule.into: Hidden(go_json(merged))}
    return {key: _bytes(value) for key, value in merged.items()}


def _bytes(value: Any) -> Hidden:
    if isinstance(value, str):
        return Hidden(value.encode("utf-8", "surrogatepass"))
    return Hidden(b"" if value is None else go_json(value))


def hidden_texts(texts: Mapping[str, str]) -> Values:
    """Texts that stand in a manifest, as values."""
    return {key: Hidden(text.encode()) for key, text in texts.items()}
