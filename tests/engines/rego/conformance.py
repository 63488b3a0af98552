"""OPA's own conformance cases (v1/test/cases/testdata in OPA's source), put to an engine as the product asks it.

A case names a query; nearly all ask one rule (`data.generated.p = x`), which is what policies are asked. The few others
(calls, several terms at once) and inputs that are no JSON have no counterpart in the product and are left out.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import yaml

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.model import PolicySet
from gatekeeper.errors import PolicyError
from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.protocols import RegoEngine

MODULE = f"github.com/open-policy-agent/opa@{toolchain.TOOLS['opa'].version}"
QUERY = re.compile(r"(data\.[\w.]+) = (?!true$|false$|null$|input$|data$)([A-Za-z_]\w*)")


class _Loader(yaml.CSafeLoader):
    """YAML as OPA reads its cases: `on` and `yes` are texts."""


_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:bool" or letter in "tfTF"]
    for letter, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Case(NamedTuple):
    """One case: what is loaded, what is asked, and what OPA answers (MISSING for undefined, FAILS for an error)."""

    note: str
    policies: PolicySet
    query: str
    input: bytes
    wanted: Any
    as_set: bool


MISSING, FAILS = "undefined", "error"


def source() -> Path | None:
    """The folder of cases in OPA's source, of the version that the product is built with; None without Go."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        return None
    code, out, _ = run_command(
        [go, "mod", "download", "-json", MODULE], 300, environment=toolchain.get_build_environment()
    )
    return Path(json.loads(out)["Dir"]) / "v1/test/cases/testdata" if code == 0 else None


def cases(folder: Path, version: int) -> Iterator[Case]:
    """The cases of one Rego version that ask one rule with an input that is JSON."""
    for file in sorted((folder / f"v{version}").rglob("*")):
        if file.suffix in (".yaml", ".yml", ".json"):
            for held in yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)["cases"]:
                asked = QUERY.fullmatch(held["query"].strip())
                given = _input(held)
                if asked and given is not None and _asks_a_rule(asked.group(1), held):
                    modules = tuple(
                        loader.parse_module(text, f"test-{number}.rego")._replace(is_v0=version == 0)
                        for number, text in enumerate(held.get("modules") or ())
                    )
                    loaded = PolicySet(modules, orjson.loads(_json(held.get("data") or {})))
                    wanted = _wanted(held, asked.group(2))
                    yield Case(held["note"], loaded, asked.group(1), given, wanted, held.get("sort_bindings", False))


def _asks_a_rule(query: str, held: dict[str, Any]) -> bool:
    """Not base data, and not an input that is not there: the product always has one."""
    texts = held.get("modules") or ()
    package, _, rule = query.removeprefix("data.").rpartition(".")
    there = any(
        re.search(rf"^package {re.escape(package)}$", text, re.MULTILINE) and re.search(rf"\b{rule}\b", text)
        for text in texts
    )
    return there and ("input" in held or "input_term" in held or not any("input" in text for text in texts))


def _input(held: dict[str, Any]) -> bytes | None:
    if "input_term" not in held:
        return _json(held.get("input"))
    try:
        return orjson.dumps(orjson.loads(held["input_term"]))
    except orjson.JSONDecodeError:
        return None


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def _wanted(held: dict[str, Any], name: str) -> Any:
    if "want_error" in held or "want_error_code" in held:
        # Where the error is one of a builtin, OPA's default, as the product's, is undefined.
        return MISSING if held.get("strict_error") else FAILS
    results = held.get("want_result")
    if not results:
        return MISSING if not held.get("want_defined") else None
    return results[0].get(name, MISSING)


def outcome(case: Case, start: Callable[[PolicySet, str], RegoEngine]) -> str:
    """`agrees`, `refuses: why` or `differs: how`."""
    try:
        engine = start(case.policies, case.query)
    except PolicyError as error:
        return "agrees" if case.wanted is FAILS else f"refuses: {error}"
    try:
        answers = engine.evaluate([(case.input, (case.query,))])
    except PolicyError as error:
        return "agrees" if case.wanted is FAILS else f"refuses: {error}"
    finally:
        engine.close()
    if any(answer.error for answer in answers):
        return "agrees" if case.wanted is FAILS else f"refuses: {answers[0].error}"
    found = answers[0].value if answers else MISSING
    return "agrees" if _same(found, case) else f"differs: {found!r}, not {case.wanted!r}"


def _same(found: Any, case: Case) -> bool:
    wanted = case.wanted
    if found == MISSING or wanted is MISSING:
        # The product takes an empty set for no finding, as it takes undefined.
        return (found == MISSING or found == []) and (wanted is MISSING or wanted == [])
    if case.as_set and isinstance(found, list) and isinstance(wanted, list):
        return Counter(map(_text, found)) == Counter(map(_text, wanted))
    return _text(found) == _text(wanted)


def _text(value: Any) -> str:
    """A value as text: 1 and 1.0 are one number."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
