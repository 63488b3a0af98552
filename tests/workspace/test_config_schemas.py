"""The JSON Schemas of configuration files, and their agreement with the strict readers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.gate import waivers
from gatekeeper.gate.waivers import Waiver
from gatekeeper.host.toolchain import TOOLS
from gatekeeper.workspace import config_loader, config_schemas, documents, lockfile
from tests.conftest import command

SCHEMAS = {name: orjson.loads(config_schemas.read_schema(name)) for name in config_schemas.SCHEMA_NAMES}
CHECKER = jsonschema.FormatChecker(formats=["date"])
NOISE: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, "off", "x", "", 0, 1, -1, 0.5, "1.34", [], ["a"], [1], {}, {"a": "b"}, [{}], ["a", None]]
)


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values near what a schema describes: fitting ones, misspelled keys, and values of other types."""
    if "properties" in schema:
        known = st.fixed_dictionaries({}, optional={key: values_of(part) for key, part in schema["properties"].items()})
        return known | known | known | NOISE | st.builds(lambda value: {**value, "polices": []}, known)
    if schema.get("type") == "array":
        return st.lists(values_of(schema["items"]), max_size=2) | NOISE
    if "additionalProperties" in schema:
        return (
            st.dictionaries(st.sampled_from(["a/b", "linux-x86_64"]), values_of(schema["additionalProperties"])) | NOISE
        )
    examples = [*schema.get("enum", ()), *schema.get("examples", ()), schema.get("const", "x"), 1, "text", 0.5, 2.0, -3]
    return st.sampled_from(examples) | NOISE


def is_valid(name: str, value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=CHECKER).is_valid(value))


@pytest.mark.parametrize("name", config_schemas.SCHEMA_NAMES)
def test_a_schema_is_valid_and_describes_every_setting(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])

    def describe(schema: dict[str, Any]) -> None:
        for key, part in schema.get("properties", {}).items():
            assert part.get("description", "").endswith("."), key
            describe(part)
            describe(part.get("items", {}))

    describe(SCHEMAS[name])


def test_the_schema_has_the_settings_and_defaults_of_the_reader() -> None:
    for section, key, name, _ in config_loader.SETTINGS:
        part = SCHEMAS["gatekeeper"]["properties"]
        part = part[section]["properties"][key] if section else part[key]
        default = getattr(config.Config(), name)
        expected = list(default) if isinstance(default, tuple) else default
        assert part.get("default", {} if name == "severity" else type(expected)()) == expected, key
    for section, key, name, _ in config_loader.SETTINGS:
        if name in config_loader.ALLOWED_VALUES:
            found = SCHEMAS["gatekeeper"]["properties"]
            found = found[section]["properties"][key] if section else found[key]
            assert found["enum"] == list(config_loader.ALLOWED_VALUES[name])


def test_the_schema_of_the_lock_has_the_tools_that_can_be_pinned() -> None:
    tools = SCHEMAS["lock"]["properties"]["tools"]["properties"]
    assert {name: tool["properties"]["package"]["const"] for name, tool in tools.items()} == {
        name: tool.package for name, tool in TOOLS.items() if not tool.source_folder
    }


@settings(max_examples=400, deadline=None)
@given(values_of(SCHEMAS["gatekeeper"]))
def test_the_reader_of_the_config_accepts_what_its_schema_accepts(value: Any) -> None:
    try:
        config_loader.parse(orjson.dumps(value), "gatekeeper.yaml")
        accepted = True
    except UsageError as error:
        assert str(error).startswith("gatekeeper.yaml:1:"), error
        accepted = False
    # An empty file has no settings.
    assert accepted == (value is None or is_valid("gatekeeper", value))


@settings(max_examples=300, deadline=None)
@given(values_of(SCHEMAS["lock"]))
def test_the_reader_of_the_lock_accepts_what_its_schema_accepts(value: Any) -> None:
    try:
        lockfile.parse(orjson.dumps(value), "gatekeeper.lock")
        accepted = True
    except UsageError as error:
        assert str(error).startswith("gatekeeper.lock:1:"), error
        accepted = False
    assert accepted == is_valid("lock", value)


@settings(max_examples=300, deadline=None)
@given(values_of(SCHEMAS["waivers"]))
def test_the_reader_of_waivers_accepts_what_its_schema_accepts(value: Any) -> None:
    [document], _ = documents.parse(orjson.dumps(value))
    read = list(waivers._parse_entries("waivers.yaml", document))
    assert all(isinstance(one, Waiver) for one in read) == is_valid("waivers", value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enginee: opa", "g.yaml:1:1: unknown setting `enginee`; did you mean `engine`?"),
        ("a: 1\npolicy: {}", "g.yaml:2:1: unknown setting `policy`; did you mean `policies`?"),
        ("paths: [x]", "g.yaml:1:1: unknown setting `paths`; did you mean `policies.paths`?"),
        ("policies:\n  path: [a]", "g.yaml:2:3: unknown setting `policies.path`; did you mean `policies.paths`?"),
        ("opa: {zzz: 1}", "g.yaml:1:7: unknown setting `opa.zzz`; known are url"),
        (
            "library:\n  profile: off",
            "g.yaml:2:12: `library.profile` is False; it can be off or default or strict; quote",
        ),
        ("engine: opaa", "g.yaml:1:9: `engine` is 'opaa'; it can be embedded or opa; did you mean `opa`?"),
        ("render: {timeout: 0}", "g.yaml:1:19: `render.timeout` must be a number above 0"),
        ("render: {timeout: 1e9}", "g.yaml:1:19: `render.timeout` must be a number up to 1,000,000"),
        ("waivers: {maxDays: 99999999999}", "g.yaml:1:20: `waivers.maxDays` must be a number up to 1,000,000"),
        ("policies: {paths: [a, 1]}", "g.yaml:1:23: `policies.paths[1]` must be a string"),
        ("policies: {paths: a}", "g.yaml:1:19: `policies.paths` must be a list of strings"),
        ("- a", "g.yaml:1:1: the file must be a mapping"),
        ("policies: {bundles: [{keys: a}]}", "unknown setting `policies.bundles[0].keys`; did you mean"),
        ("a: [", "not valid YAML"),
        ("secrets: {allow: [{namspace: a}]}", "did you mean `secrets.allow[0].namespace`?"),
    ],
)
def test_an_error_names_its_place_and_what_may_have_been_meant(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        config_loader.parse(text.encode(), "g.yaml")
    assert message in str(raised.value)


def test_all_errors_of_a_file_are_reported_in_its_order() -> None:
    with pytest.raises(UsageError) as raised:
        config_loader.parse(b"zzz: 1\nengine: x\nopa: 1\n", "g.yaml")
    assert [line.split(": ")[0] for line in str(raised.value).splitlines()] == [
        "g.yaml:1:1",
        "g.yaml:2:9",
        "g.yaml:3:6",
    ]


@pytest.mark.parametrize("name", config_schemas.SCHEMA_NAMES)
def test_the_command_prints_a_schema(name: str) -> None:
    code, out, err = command("config", "schema", name)
    assert (code, orjson.loads(out), err) == (0, SCHEMAS[name], "")


def test_the_command_prints_the_schema_of_the_config_without_a_name_and_refuses_an_unknown_one() -> None:
    assert orjson.loads(command("config", "schema")[1]) == SCHEMAS["gatekeeper"]
    code, out, err = command("config", "schema", "waiver")
    assert (code, out) == (2, "")
    assert err == "gatekeeper: no schema `waiver`; did you mean `waivers`?; there are gatekeeper, waivers, lock\n"


def test_a_check_of_files_without_an_error_does_not_load_the_validator(tmp_path: Path) -> None:
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    (tmp_path / "waivers.yaml").write_text("waivers: []\n")
    program = (
        "import sys; from gatekeeper.cli import main;"
        "status = main(['check']); sys.exit(status or int('jsonschema' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
