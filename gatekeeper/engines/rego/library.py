"""The rule library that is part of Gatekeeper: one folder per rule, `policies/CATEGORY/RULE/rule.rego`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from gatekeeper.engines.rego.loader import load_policies
from gatekeeper.engines.rego.model import PolicySet, RegoModule
from gatekeeper.errors import UsageError
from gatekeeper.host.cache import Cache
from gatekeeper.named_tuple import NamedTuple

PACKAGED_FOLDER = Path(__file__).parent.parent.parent / "policies"
RULE_FILE = "rule.rego"
PROFILES = {"off": (), "default": ("default",), "strict": ("default", "strict")}


class LibraryRule(NamedTuple):
    """A rule of the library, as its METADATA block describes it.

    Attributes:
        name: `CATEGORY/RULE`.
        profile: the smallest profile that includes it: `default` or `strict`.
        kinds: the kinds that it applies to; all kinds if empty.
    """

    name: str
    module: RegoModule
    title: str
    description: str
    severity: str
    profile: str
    kinds: tuple[str, ...]
    remedy: str
    standards: tuple[str, ...]

    @property
    def query(self) -> str:
        """The query that evaluates the rule."""
        return f"data.{self.module.package}.deny"


def find_folder() -> Path:
    """Returns the folder of the library."""
    return PACKAGED_FOLDER


def load_rules(include_tests: bool = False, cache: Cache | None = None) -> tuple[list[LibraryRule], PolicySet]:
    """Loads all rules of the library, sorted by name, and the modules and data that they need.

    Args:
        cache: keeps the parsed modules, of this installation alone; not used for tests.
    """
    policies = _load_with_cache(cache) if cache and not include_tests else _load(include_tests)
    rules = [_parse_rule(module) for module in policies.modules if Path(module.path).name == RULE_FILE]
    return sorted(rules, key=lambda rule: rule.name), policies


def _load(include_tests: bool) -> PolicySet:
    return load_policies(find_folder(), ["."], ["lib"], include_tests=include_tests, is_shipped=True)


def _load_with_cache(cache: Cache) -> PolicySet:
    """The modules of all rules and their data: one entry is read in a fifth of the time of all files."""
    key = cache.derive_key([b"library", os.fsencode(find_folder())])
    content = cache.read_entry(key)
    if content is not None:
        modules, data = orjson.loads(content)
        return PolicySet(tuple(RegoModule(**{**fields, "rules": tuple(fields["rules"])}) for fields in modules), data)
    policies = _load(include_tests=False)
    cache.write_entry(key, orjson.dumps([[module._asdict() for module in policies.modules], policies.data]))
    return policies


def load_replacement_apis() -> dict[tuple[str, str], str]:
    """Loads the replacement of each removed or deprecated API version, by (apiVersion, kind)."""
    listed = load_policies(find_folder(), [], ["lib/apis.yaml"]).data["gatekeeper"]["apis"]
    return {(version, kind): entry["use"] for version, kinds in listed.items() for kind, entry in kinds.items()}


def load_standard_links() -> dict[str, str]:
    """Loads the link of each standard, by the prefix of its name."""
    listed: dict[str, str] = load_policies(find_folder(), [], ["standards.yaml"]).data
    return listed


def find_standard_link(standard: str, links: Mapping[str, str]) -> str:
    """Finds the link of a standard by the longest matching prefix; empty if there is none."""
    prefixes = [name for name in links if standard.startswith(name)]
    return links[max(prefixes, key=len)] if prefixes else ""


def select_rules(
    rules: Sequence[LibraryRule], profile: str, enable: Sequence[str], disable: Sequence[str]
) -> list[LibraryRule]:
    """Selects the rules of a profile, plus the enabled and minus the disabled rules of the config.

    Raises:
        UsageError: the config names a rule that does not exist.
    """
    names = {rule.name for rule in rules}
    for name in (*enable, *disable):
        if name not in names and name not in {rule.name.split("/")[0] for rule in rules}:
            raise UsageError(
                f"gatekeeper.yaml: no rule or category `{name}` in the library; list them with `gatekeeper policy list`"
            )

    return [
        rule
        for rule in rules
        if (rule.profile in PROFILES[profile] or _is_listed(rule, enable)) and not _is_listed(rule, disable)
    ]


def _is_listed(rule: LibraryRule, names: Sequence[str]) -> bool:
    """Whether a list contains the name of a rule, or its category."""
    return rule.name in names or rule.name.split("/")[0] in names


def _parse_rule(module: RegoModule) -> LibraryRule:
    metadata = module.metadata
    custom = metadata.get("custom", {})
    return LibraryRule(
        name="/".join(Path(module.path).parts[-3:-1]),
        module=module,
        title=metadata["title"],
        description=metadata["description"].strip(),
        severity=custom["severity"],
        profile=custom["profile"],
        kinds=tuple(custom.get("kinds", ())),
        remedy=custom["remedy"],
        standards=tuple(custom.get("standards", ())),
    )
