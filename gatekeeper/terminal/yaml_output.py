"""Writes objects as YAML that every reader parses back to the same values."""

from __future__ import annotations

from typing import Any

import yaml

# Line breaks of YAML 1.1. PyYAML writes them unescaped, and reads them back as `\n` or as a space.
UNICODE_LINE_BREAKS = frozenset("\x85\u2028\u2029")
NO_WRAP = 1_000_000


class _ObjectDumper(yaml.SafeDumper):
    """Quotes texts with Unicode line breaks, so that they are escaped."""


def _represent_text(dumper: _ObjectDumper, text: str) -> yaml.ScalarNode:
    style = '"' if UNICODE_LINE_BREAKS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ObjectDumper.add_representer(str, _represent_text)


def dump_yaml(value: Any, width: int = NO_WRAP) -> str:
    """Returns a value as one YAML document, with keys in their order and lines wrapped at a width."""
    text: str = yaml.dump(value, Dumper=_ObjectDumper, sort_keys=False, allow_unicode=True, width=width)
    return text
