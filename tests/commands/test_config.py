"""`gatekeeper config schema`: prints JSON Schemas."""

from __future__ import annotations

import jsonschema
import orjson
import pytest

from gatekeeper.workspace import config_schemas
from tests.commands.conftest import Run


@pytest.mark.parametrize("name", config_schemas.SCHEMA_NAMES)
def test_each_schema_is_printed(run: Run, name: str) -> None:
    code, out, err = run("config", "schema", name)
    assert (code, err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(orjson.loads(out))


def test_the_default_is_the_schema_of_the_configuration(run: Run) -> None:
    assert run("config", "schema") == run("config", "schema", config_schemas.SCHEMA_NAMES[0])


def test_an_unknown_schema_is_a_usage_error_with_the_known_names(run: Run) -> None:
    code, out, err = run("config", "schema", "policies")
    assert (code, out) == (2, "")
    assert all(name in err for name in config_schemas.SCHEMA_NAMES)
