"""`spec.ignore`: fields that may differ from Git. They are left out of comparisons and keep their value when applied.

Source: kustomize-controller `api/v1/kustomization_types.go` (`spec.ignore`); RFC 6901.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from gatekeeper.apply.inventory import entry_of
from gatekeeper.gocompat import regexp
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import Object, read_labels
from gatekeeper.named_tuple import NamedTuple


class IgnoreRule(NamedTuple):
    """Fields of the objects that match a target.

    Attributes:
        pointers: JSON pointers to the fields.
        target: regular expressions for group, version, kind, namespace and name, by field name.
        labels, annotations: selectors such as `key=value,other!=value,present,!absent`.
    """

    pointers: tuple[str, ...]
    target: tuple[tuple[str, str], ...]
    labels: str
    annotations: str

    def matches(self, value: Object) -> bool:
        """Whether the rule applies to an object."""
        entry = entry_of(value)
        is_target = all(_matches_pattern(pattern, getattr(entry, name)) for name, pattern in self.target)
        return (
            is_target
            and _matches_selector(self.labels, read_labels(value))
            and _matches_selector(self.annotations, read_labels(value, "annotations"))
        )


def parse_ignore_rule(fields: FieldReader) -> IgnoreRule:
    """One entry of `spec.ignore`.

    Raises:
        FieldError: a field is not valid.
    """
    pointers, target = fields.read_string_list("paths"), fields.read_object("target")
    patterns: list[tuple[str, str]] = []
    selectors = {"labelSelector": "", "annotationSelector": ""}
    if target is not None:
        for name in ("group", "version", "kind", "namespace", "name"):
            text = target.read_string(name, "")
            if text and regexp.compile_pattern(f"^(?:{text})$") is None:
                target.reject_field(name, "is not a regular expression (RE2)")
            patterns += [(name, text)] if text else []
        for name in selectors:
            selectors[name] = target.read_string(name, "")
            if any(sign in selectors[name] for sign in "()"):
                target.reject_field(name, "supports `key=value`, `key!=value`, `key` and `!key`, separated by commas")
        target.reject_unknown()
    fields.reject_unknown()
    return IgnoreRule(pointers, tuple(patterns), selectors["labelSelector"], selectors["annotationSelector"])


def _matches_pattern(pattern: str, text: str) -> bool:
    compiled = regexp.compile_pattern(f"^(?:{pattern})$")
    return compiled is not None and compiled.search(text) is not None


def _matches_selector(selector: str, labels: Mapping[str, str]) -> bool:
    for term in (part.strip() for part in selector.split(",") if part.strip()):
        key, operator, text = term.partition("!=")
        if operator:
            is_met = labels.get(key.strip()) != text.strip()
        elif "=" in term:
            key, _, text = term.partition("=")
            is_met = labels.get(key.strip()) == text.lstrip("=").strip()
        else:
            is_met = (term.lstrip("!") in labels) is not term.startswith("!")
        if not is_met:
            return False
    return True


def remove_pointers(value: Object, pointers: Iterable[str]) -> Object:
    """A copy of an object without the fields of the pointers; a pointer to a missing field has no effect."""
    remaining = deepcopy(value)
    for pointer in pointers:
        _remove_pointer(remaining, pointer)
    return remaining


def _remove_pointer(value: Any, pointer: str) -> None:
    *parents, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]] or [""]
    for step in parents:
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
    """The desired object, in which the fields that may differ have their value of the cluster.

    Args:
        stripped: the desired object without those fields.
    """
    if isinstance(desired, dict) and isinstance(stripped, dict) and isinstance(live, dict):
        merged = {}
        for key, value in desired.items():
            if key in stripped:
                merged[key] = keep_live_fields(value, stripped[key], live[key]) if key in live else value
            elif key in live:
                merged[key] = live[key]
        return merged
    if (
        isinstance(desired, list)
        and isinstance(stripped, list)
        and isinstance(live, list)
        and len(desired) == len(stripped)
    ):
        pairs = enumerate(zip(desired, stripped, strict=True))
        return [
            keep_live_fields(element, remaining, _find_live_element(element, index, live))
            for index, (element, remaining) in pairs
        ]
    return stripped if desired != stripped else desired


def _find_live_element(element: Any, index: int, live: list[Any]) -> Any:
    """The element of a list in the cluster that corresponds to an element: by its name, otherwise by its index."""
    if isinstance(element, dict) and "name" in element:
        return next((other for other in live if isinstance(other, dict) and other.get("name") == element["name"]), None)
    return live[index] if index < len(live) else None


def list_pointers(value: Object, rules: Sequence[IgnoreRule]) -> list[str]:
    """The pointers to the fields of an object that may differ."""
    return [pointer for rule in rules if rule.matches(value) for pointer in rule.pointers]
