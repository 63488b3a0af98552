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
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.kube.labels import read_labels


class IgnoreRule(NamedTuple):
    """Fields, by pointers, of the objects that fit a target.

    Attributes:
        target: what group, version, kind, namespace and name must be, as regular expressions.
        labels, annotations: what they must have, as `key=value,other!=value,there,!absent`.
    """

    pointers: tuple[str, ...]
    target: tuple[tuple[str, str], ...]
    labels: str
    annotations: str

    def matches(self, value: Object) -> bool:
        """Whether it is about an object."""
        entry = entry_of(value)
        held = {one: getattr(entry, one) for one in ("group", "version", "kind", "namespace", "name")}
        fits = all(_matches_pattern(pattern, held[name]) for name, pattern in self.target)
        return (
            fits
            and _matches_selector(self.labels, read_labels(value))
            and _matches_selector(self.annotations, read_labels(value, "annotations"))
        )


def parse_ignore_rule(fields: FieldReader) -> IgnoreRule:
    """A rule as it stands in a Kustomization.

    Raises:
        FieldError: it is not valid.
    """
    pointers, target = fields.read_string_list("paths"), fields.read_object("target")
    found: list[tuple[str, str]] = []
    selectors = {"labelSelector": "", "annotationSelector": ""}
    if target is not None:
        for name in ("group", "version", "kind", "namespace", "name"):
            text = target.read_string(name, "")
            if text and regexp.compile_pattern(f"^(?:{text})$") is None:
                target.reject_field(name, "is no regular expression")
            found += [(name, text)] if text else []
        for name in selectors:
            selectors[name] = target.read_string(name, "")
            if any(sign in selectors[name] for sign in "()"):
                target.reject_field(
                    name, "can be `key=value`, `key!=value`, `key` and `!key`, with commas between them"
                )
        target.reject_unknown()
    fields.reject_unknown()
    return IgnoreRule(pointers, tuple(found), *selectors.values())


def _matches_pattern(pattern: str, text: str) -> bool:
    found = regexp.compile_pattern(f"^(?:{pattern})$")
    return found is not None and found.search(text) is not None


def _matches_selector(selector: str, labels: Mapping[str, str]) -> bool:
    for one in (part.strip() for part in selector.split(",") if part.strip()):
        key, sign, text = one.partition("!=")
        if sign:
            is_met = labels.get(key.strip()) != text.strip()
        elif "=" in one:
            key, _, text = one.partition("=")
            is_met = labels.get(key.strip()) == text.lstrip("=").strip()
        else:
            is_met = (one.lstrip("!") in labels) is not one.startswith("!")
        if not is_met:
            return False
    return True


def remove_pointers(value: Object, pointers: Iterable[str]) -> Object:
    """An object without what pointers lead to; what is not there is not missed."""
    found = deepcopy(value)
    for pointer in pointers:
        _remove_pointer(found, pointer)
    return found


def _remove_pointer(value: Any, pointer: str) -> None:
    *above, last = [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]] or [""]
    for step in above:
        value = _resolve_step(value, step)
    if isinstance(value, dict):
        value.pop(last, None)
    elif isinstance(value, list) and last.isdecimal() and int(last) < len(value):
        del value[int(last)]


def _resolve_step(value: Any, step: str) -> Any:
    if isinstance(value, list):
        return value[int(step)] if step.isdecimal() and int(step) < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def keep_live_fields(desired: Any, stripped: Any, live: Any) -> Any:
    """What is wanted, in which the fields that may differ are as they are in the cluster.

    Args:
        stripped: what is wanted, without those fields.
    """
    if isinstance(desired, dict) and isinstance(stripped, dict) and isinstance(live, dict):
        found = {}
        for key, held in desired.items():
            if key in stripped:
                found[key] = keep_live_fields(held, stripped[key], live[key]) if key in live else held
            elif key in live:
                found[key] = live[key]
        return found
    if (
        isinstance(desired, list)
        and isinstance(stripped, list)
        and isinstance(live, list)
        and len(desired) == len(stripped)
    ):
        pairs = enumerate(zip(desired, stripped, strict=True))
        return [keep_live_fields(own, left, _find_live_element(own, number, live)) for number, (own, left) in pairs]
    return stripped if desired != stripped else desired


def _find_live_element(element: Any, index: int, live: list[Any]) -> Any:
    """The element of a list in the cluster that an element is: by its name, or else by its place."""
    if isinstance(element, dict) and "name" in element:
        return next((one for one in live if isinstance(one, dict) and one.get("name") == element["name"]), None)
    return live[index] if index < len(live) else None


def list_pointers(value: Object, rules: Sequence[IgnoreRule]) -> list[str]:
    """Which fields of an object may differ."""
    return [pointer for rule in rules if rule.matches(value) for pointer in rule.pointers]
