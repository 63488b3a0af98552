"""All formats, by the name that `--format` takes."""

from collections.abc import Callable
from pathlib import Path

from gatekeeper.model import Verdict
from gatekeeper.report import json, text

FORMATS: dict[str, Callable[[Verdict, Path, bool], str]] = {"text": text.render, "json": json.render}
