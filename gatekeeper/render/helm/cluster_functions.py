"""Functions of chart templates whose result only a cluster or a network knows: `lookup` and `getHostByName`.

`helm template` and Argo CD let them return nothing; Helm in a cluster and Flux return what is there.
Source: Helm (`pkg/engine/engine.go`), "Template Functions and Pipelines".
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Gap
from gatekeeper.workspace.tree import Tree

ACTION = compile_lazily(rb"\{\{(?!-?\s*/\*)-?((?:[^}\"`]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\}(?!\}))*)\}\}")
TEXT = compile_lazily(rb"\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
CALL = compile_lazily(rb"(?<![\w.$])(lookup|getHostByName)(?!\w)")
# A chart looks up what it made at random before, so that it stays: a rendering without it shows all objects.
RANDOM_VALUE = compile_lazily(
    rb"(?<![\w.$])(?:rand(?:AlphaNum|Alpha|Numeric|Ascii|Bytes)|uuidv4|gen[A-Z]\w*|derivePassword)(?!\w)"
)


def find_cluster_calls(tree: Tree, chart: str) -> Iterator[Gap]:
    """A gap for each template of a chart, and of the charts in its folder, that calls such a function.

    Args:
        chart: its folder.
    """
    prefix = f"{chart}/".lstrip("/")
    start = bisect.bisect_left(tree.files, prefix)
    for file in tree.files[start:]:
        if not file.startswith(prefix):
            return
        below = file.removeprefix(prefix)
        if below.startswith("templates/") or re.match(r"charts/.+/templates/", below):
            content = tree.read_file(file)
            if isinstance(content, bytes) and (function := _find_call(content)):
                yield _build_gap(file, function, content, is_own=below.startswith("templates/"))


def _find_call(template: bytes) -> str:
    """The function that a template calls; empty if it calls none."""
    if b"lookup" not in template and b"getHostByName" not in template:
        return ""
    calls = {call for action in ACTION.finditer(template) for call in CALL.findall(TEXT.sub(b'""', action[1]))}
    return min(calls).decode() if calls else ""


def _build_gap(file: str, function: str, template: bytes, *, is_own: bool) -> Gap:
    """The gap of a template.

    It is not fatal for what most charts use `lookup` for, and for helpers, of which a chart uses some.
    """
    if function == "getHostByName":
        return Gap(
            file,
            "calls `getHostByName`, whose result depends on the network: what depends on it was not checked; take the "
            "address from the values",
            is_fatal=True,
        )
    is_common = not is_own or file.rpartition("/")[2].startswith("_") or RANDOM_VALUE.search(template) is not None
    return Gap(
        file,
        "calls `lookup`, which finds nothing here, as in an empty cluster and in Argo CD: objects that depend on what "
        "a cluster has were not checked" + ("" if is_common else "; take it from the values"),
        is_fatal=not is_common,
    )
