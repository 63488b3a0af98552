"""Fields that may differ from Git without being drift: left out where objects are compared, kept where applied.

Source: kustomize-controller `api/v1/kustomization_types.go` (`spec.ignore`); RFC 6901.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.order import Object
from gatekeeper.gocompat import regexp
from gatekeeper.kube.decoder import Fields
from gatekeeper.kube.labels import labels_of


class Ignore(NamedTuple):
    """Fields, by pointers, of the objects that fit a target.

    Attributes:
        target: what group, version, kind, namespace and name must be, as regular expressions.
        labels, annotations: what they must have, as `key=value,other!=value,there,!absent`.
    """

    pointers: tuple[str, ...]
    target: tuple[tuple[str, str], ...]
    labels: str
    annotations: str

    def is_about(self, value: Object) -> bool:
        """Whether it is about an object."""
        entry = entry_of(value)
        held = {one: getattr(entry, one) for one in ("group", "version", "kind", "namespace", "name")}
        fits = all(_fits(pattern, held[name]) for name, pattern in self.target)
        return (
            fits
            and _selects(self.labels, labels_of(value))
            and _selects(self.annotations, labels_of(value, "annotations"))
        )


def read(fields: Fields) -> Ignore:
    """A rule as it stands in a Kustomization.

    Raises:
        FieldError: it is not valid.
    """
    pointers, target = fields.words("paths"), fields.inner("target")
    found: list[tuple[str, str]] = []
    selectors = {"labelSelector": "", "annotationSelector": ""}
    if target is not None:
        for name in ("group", "version", "kind", "namespace", "name"):
            text = target.text(name, "")
            if text and regexp.compiled(f"^(?:{text})$") is None:
                target.refuse(name, "is no regular expression")
            found += [(name, text)] if text else []
        for name in selectors:
            selectors[name] = target.text(name, "")
            if any(sign in selectors[name] for sign in "()"):
                target.refuse(name, "can be `key=value`, `key!=value`, `key` and `!key`, with commas between them")
        target.end()
    fields.end()
    return Ignore(pointers, tuple(found), *selectors.values())


def _fits(pattern: str, text: str) -> bool:
    found = regexp.compiled(f"^(?:{pattern})$")
    return found is not None and found.search(text) is not None


def _selects(selector: str, held: Mapping[str, str]) -> bool:
    for one in (part.strip() for part in selector.split(",") if part.strip()):
        key, sign, text = one.partition("!=")
        if sign:
            is_met = held.get(key.strip()) != text.strip()
        elif "=" in one:
            key, _, text = one.partition("=")
            is_met = held.get(key.strip()) == text.lstrip("=").strip()
        else:
            is_met = (one.lstrip("!") in held) is not one.startswith("!")
        if not is_met:
            return False
    return True


def without(value: Object, pointers: Iterable[str]) -> Object:
    """An object without what pointers lead to; what is not there is not missed."""
    found = deepcopy(value)
    for pointer in pointers:
        _remove(found, pointer)
    return found


def _remove(value: Any, pointer: str) -> None:
    *above, last = [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]] or [""]
    for step in above:
        value = _step(value, step)
    if isinstance(value, dict):
        value.pop(last, None)
    elif isinstance(value, list) and last.isdecimal() and int(last) < len(value):
        del value[int(last)]


def _step(value: Any, step: str) -> Any:
    if isinstance(value, list):
        return value[int(step)] if step.isdecimal() and int(step) < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def kept(whole: Any, part: Any, live: Any) -> Any:
    """What is wanted, in which the fields that may differ are as they are in the cluster.

    Args:
        part: what is wanted, without those fields.
    """
    if isinstance(whole, dict) and isinstance(part, dict) and isinstance(live, dict):
        found = {}
        for key, held in whole.items():
            if key in part:
                found[key] = kept(held, part[key], live[key]) if key in live else held
            elif key in live:
                found[key] = live[key]
        return found
    if isinstance(whole, list) and isinstance(part, list) and isinstance(live, list) and len(whole) == len(part):
        pairs = enumerate(zip(whole, part, strict=True))
        return [kept(own, left, _same(own, number, live)) for number, (own, left) in pairs]
    return part if whole != part else whole


def _same(own: Any, number: int, live: list[Any]) -> Any:
    """The element of a list in the cluster that an element is: by its name, or else by its place."""
    if isinstance(own, dict) and "name" in own:
        return next((one for one in live if isinstance(one, dict) and one.get("name") == own["name"]), None)
    return live[number] if number < len(live) else None


def pointers_for(value: Object, rules: Sequence[Ignore]) -> list[str]:
    """Which fields of an object may differ."""
    return [pointer for rule in rules if rule.is_about(value) for pointer in rule.pointers]
