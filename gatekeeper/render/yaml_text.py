"""Objects as YAML text, with the quotes that kustomize writes: a text that is substituted in depends on them.

Source: sigs.k8s.io/yaml (go-yaml v2) `encode.go`; both its emitter and PyYAML's are libyaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

from gatekeeper.workspace import yaml_fallback, yaml_scalars

# Texts that another reader would take for a time or for a number to base 60.
TIME_PATTERN = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[Tt ]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)?)?")
BASE_60_PATTERN = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
WIDTH = 80


def write_object(value: Any) -> str:
    """An object as YAML text."""
    events = [
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_list_events(value),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    ]
    text: str = yaml.emit(events, Dumper=yaml.CSafeDumper, allow_unicode=True, width=WIDTH)
    return text


def _list_events(value: Any) -> Iterator[yaml.Event]:
    if isinstance(value, dict):
        yield yaml.MappingStartEvent(None, None, True, flow_style=not value)
        for key, item in value.items():
            yield from _list_events(key)
            yield from _list_events(item)
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, True, flow_style=not value)
        for item in value:
            yield from _list_events(item)
        yield yaml.SequenceEndEvent()
    elif isinstance(value, str):
        yield yaml.ScalarEvent(None, None, (True, True), value, style=_choose_style(value))
    else:
        yield yaml.ScalarEvent(None, None, (True, False), orjson.dumps(value).decode())


def _choose_style(text: str) -> str | None:
    """The style of a text: a block if it has lines, quotes if it would be something else; libyaml decides the rest."""
    if "\n" in text:
        return "|"
    is_text = yaml_scalars.is_plain_text(text) and text != yaml_fallback.MERGE_KEY
    return None if is_text and not TIME_PATTERN.fullmatch(text) and not BASE_60_PATTERN.fullmatch(text) else '"'
