"""The parsed form of Rego policies: modules, sets of modules and data, and the rules that a run evaluates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import TERRAFORM_KIND, Gap, Severity
from gatekeeper.named_tuple import NamedTuple

# What can refer to rules of the library, as a text that is searched: their root, and `data` with a computed name.
LIBRARY_REFERENCE = compile_lazily(r"\bgatekeeper\b|\bdata\b(?!\.[A-Za-z_])|\bpackage\s+\w*\[")
VERDICT_RULE = compile_lazily(r"(deny|violation|warn)(_\w+)?")


class RegoModule(NamedTuple):
    """One Rego file.

    Attributes:
        path: the name of the file in messages.
        is_v0: whether the module is written in Rego v0.
        is_shipped: whether the module is part of Gatekeeper: tests prove that the embedded engine needs no rewrite.
    """

    path: str
    text: str
    package: str
    rules: tuple[str, ...]
    is_v0: bool
    metadata: dict[str, Any]
    is_shipped: bool = False

    @property
    def is_test(self) -> bool:
        """Whether the module holds tests instead of rules for resources."""
        return self.path.endswith("_test.rego")

    @property
    def can_use_library(self) -> bool:
        """Whether a module that is not of the library can use what the library defines, or add to it."""
        return not self.is_shipped and LIBRARY_REFERENCE.search(self.text) is not None

    @property
    def exception_query(self) -> str | None:
        """The query for the package's exceptions (a conftest feature); None if the module has none."""
        return f"data.{self.package}.exception" if "exception" in self.rules else None

    def list_queries(self) -> tuple[str, ...]:
        """Lists the queries of the rules for resources, as `data.package.rule`."""
        return tuple(f"data.{self.package}.{rule}" for rule in self.rules if VERDICT_RULE.fullmatch(rule))


class PolicySet(NamedTuple):
    """The modules and data that an engine loads together."""

    modules: tuple[RegoModule, ...]
    data: dict[str, Any]

    @property
    def digest(self) -> str:
        """A digest of everything that affects results: texts, versions and data."""
        parts = hashlib.sha256()
        for module in sorted(self.modules, key=lambda module: (module.package, module.text)):
            parts.update(f"{module.is_v0}\0{module.text}\0".encode())
        parts.update(orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS))
        return f"sha256:{parts.hexdigest()}"


class RuleQuery(NamedTuple):
    """A rule to evaluate: its name in reports, severity, remedy, and the kinds that it applies to (all if empty)."""

    name: str
    severity: Severity
    hint: str
    kinds: tuple[str, ...]
    module: RegoModule

    def is_for_kind(self, kind: str) -> bool:
        """Whether the rule applies to resources of a kind; rules for all kinds do not apply to Terraform."""
        return kind in self.kinds or (not self.kinds and kind != TERRAFORM_KIND)


class QueryPlan(NamedTuple):
    """The rules of a run by query, and what the engine must load for them.

    Attributes:
        exception_queries: the query for the exceptions of a package (a conftest feature), by package.
    """

    rules: dict[str, RuleQuery]
    policies: PolicySet
    exception_queries: Mapping[str, str] = MappingProxyType({})

    @property
    def queries(self) -> tuple[str, ...]:
        """All queries that may be evaluated."""
        return (*self.rules, *self.exception_queries.values())


class ResolvedBundles(NamedTuple):
    """The content of all bundles of a config.

    Attributes:
        folders: policy folders for all engines.
        policy_sets: Rego with data, from OPA bundle files.
        gaps: bundles that cannot be used.
    """

    folders: list[str]
    policy_sets: list[PolicySet]
    gaps: list[Gap]
