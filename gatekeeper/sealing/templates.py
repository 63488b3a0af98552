"""`spec.template.data` of a SealedSecret: Go templates that the sealed values are put into.

They are filled by the real engine: Helm's, whose functions are those of the controller (sprig) and a few more, which
are refused here. The sealed values reach it through a pipe only. Source: sealed-secrets
`pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go`, helm `pkg/engine/funcs.go`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gatekeeper import process, tools
from gatekeeper.errors import SealError
from gatekeeper.hidden import Hidden

SECONDS = 30.0
ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
# Functions of Helm that the controller has not.
HELMS_OWN = {
    "include", "tpl", "required", "lookup", "toYaml", "mustToYaml", "toYamlPretty", "fromYaml", "fromYamlArray",
    "toToml", "mustToToml", "fromToml", "fromJsonArray",
}  # fmt: skip
WORD = re.compile(r"(?<![.\w\"$])[A-Za-z]\w*")
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')


def filled(templates: Mapping[str, Any], opened: Mapping[str, Hidden]) -> dict[str, Hidden]:
    """The values that templates make, as the controller makes them.

    Args:
        templates: by key; what has no `{{` is taken as it is, and null takes a key away.
        opened: the sealed values. Templates see them, and what other templates say before they are filled.

    Raises:
        SealError: a template is faulty, or names what the controller does not have.
        ToolError: Helm is not there.
    """
    texts = {key: text for key, text in templates.items() if isinstance(text, str) and key not in opened}
    found = {key: Hidden(text.encode()) for key, text in texts.items() if "{{" not in text}
    waiting = {key: text for key, text in texts.items() if "{{" in text}
    if not waiting:
        return found
    for key, text in waiting.items():
        words = {word for action in ACTION.findall(text) for word in WORD.findall(TEXT.sub("", action))}
        for word in sorted(words & HELMS_OWN):
            raise SealError(f"`spec.template.data.{key}` calls `{word}`, which the controller does not have")
    return found | _rendered(waiting, _context(waiting, texts, opened))


def _context(waiting: Mapping[str, str], texts: Mapping[str, str], opened: Mapping[str, Hidden]) -> dict[str, str]:
    """All that templates may name."""
    context = dict(texts)
    for key, value in opened.items():
        try:
            context[key] = value.reveal().decode("utf-8")
        except UnicodeDecodeError:
            if any(key in text for text in waiting.values()):
                raise SealError(f"`spec.template.data` names `{key}`, whose value is no text") from None
    return context


def _rendered(waiting: Mapping[str, str], context: Mapping[str, str]) -> dict[str, Hidden]:
    keys = list(waiting)
    with tempfile.TemporaryDirectory(prefix="gatekeeper-template-") as scratch:
        chart = Path(scratch)
        (chart / "templates").mkdir()
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: c\nversion: 0.0.0\n")
        for number, key in enumerate(keys):
            # What is in the repository in the clear may lie here, too.
            (chart / "templates" / f"_{number}.tpl").write_text(waiting[key], encoding="utf-8")
        calls = " ".join(f'(include "c/templates/_{number}.tpl" .Values.data)' for number in range(len(keys)))
        (chart / "templates" / "all.yaml").write_text(f"all: {{{{ list {calls} | toJson }}}}\n")
        values = orjson.dumps({"data": context})
        command: list[str | Path] = [tools.find("helm"), "template", "c", chart, "--values", "-"]
        code, out, words = process.run(command, SECONDS, stdin=values, advice="look at the templates")
    if code != 0:
        raise SealError(_fault(words, keys))
    texts = orjson.loads(out[out.index(b"all: ") + len("all: ") :])
    return {key: Hidden(text.encode()) for key, text in zip(keys, texts, strict=True)}


def _fault(words: str, keys: list[str]) -> str:
    """Where a template fails; what Helm says besides may hold values."""
    place = re.search(r"c/templates/_(\d+)\.tpl:(\d+)(?::(\d+))?", words)
    if place is None:
        return "`spec.template.data` holds a template that cannot be filled"
    unknown = re.search(r'function "(\w+)" not defined', words)
    what = f"calls `{unknown[1]}`, which there is not" if unknown else "cannot be filled"
    return f"`spec.template.data.{keys[int(place[1])]}` {what} (line {place[2]} of the template)"
