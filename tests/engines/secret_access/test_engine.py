"""The secret access engine applies the rules of the config."""

from __future__ import annotations

from gatekeeper.config import Config
from gatekeeper.engines.secret_access import engine
from tests.conftest import Repository
from tests.engines.contexts import build_context
from tests.engines.secret_access.test_allow_rules import EXTERNAL, RULES


def test_the_rules_are_those_of_the_config(repository: Repository) -> None:
    root = repository({"a.yaml": EXTERNAL})
    context = build_context(root, Config()._replace(secrets_allow=tuple(RULES)))
    assert [finding.rule for finding in engine.evaluate(context).findings] == ["external/not-allowed"]
    assert engine.evaluate(build_context(root)).findings == []
