"""Gatekeeper's ConstraintTemplates: from the template to Rego modules of its own, or CEL expressions.

Each template stands alone: two templates may name their packages alike, so its packages are moved below its kind.
Source: https://open-policy-agent.github.io/gatekeeper/website/docs/constrainttemplates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.loader import PACKAGE_LINE, RegoModule
from gatekeeper.engines.rego.rego_text import blank_literals
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, get_field

GROUP = "templates.gatekeeper.sh"
ADMISSION_TARGET = "admission.k8s.gatekeeper.sh"
CEL_ENGINE = "K8sNativeValidation"
DATA_REFERENCE = re.compile(r"(?<![\w.])data(?=[.\[])")
DATA_PATH = re.compile(r'data(?:\.(\w+)|\["(\w+)"\])?')
# Where the packages of templates live in an engine: below their kind.
PACKAGE_ROOT = "constraint_templates"


class ConstraintTemplate(NamedTuple):
    """A template: the kind of its constraints, what judges, and the OpenAPI schema of their parameters.

    Attributes:
        modules: its Rego, the module that is asked first; empty where it is written in CEL.
        cel_source: the `source` of a template in CEL; None where it has Rego.
    """

    kind: str
    modules: tuple[RegoModule, ...]
    cel_source: dict[str, Any] | None
    schema: dict[str, Any]
    resource: Resource

    @property
    def query(self) -> str:
        """What a Rego engine is asked."""
        return f"data.{self.modules[0].package}.violation"

    @property
    def is_inventory_needed(self) -> bool:
        """Whether it looks at other resources."""
        return any("inventory" in module.text for module in self.modules)


def is_template(resource: Resource) -> bool:
    """Whether a resource is a ConstraintTemplate."""
    return resource.ref.kind == "ConstraintTemplate" and resource.ref.group == GROUP


def parse_template(resource: Resource) -> ConstraintTemplate:
    """A ConstraintTemplate (v1, v1beta1 or v1alpha1).

    Raises:
        PolicyError: it is malformed, or asks for what is not known.
    """
    value = resource.value
    kind = get_field(value, ("spec", "crd", "spec", "names", "kind"))
    if not isinstance(kind, str) or not kind.isidentifier():
        raise PolicyError("a template needs the kind of its constraints in `spec.crd.spec.names.kind`")
    if resource.ref.name != kind.lower():
        raise PolicyError(f"a template for {kind} must be named `{kind.lower()}`; Gatekeeper refuses it otherwise")
    targets = get_field(value, ("spec", "targets"))
    if not isinstance(targets, list) or len(targets) != 1 or get_field(targets[0], ("target",)) != ADMISSION_TARGET:
        raise PolicyError(f"a template needs exactly one target, {ADMISSION_TARGET}")
    schema = get_field(value, ("spec", "crd", "spec", "validation", "openAPIV3Schema"))
    rego, libs, version, cel = _select_source(targets[0])
    if rego is None:
        return ConstraintTemplate(kind, (), cel, schema if isinstance(schema, dict) else {}, resource)
    modules = tuple(_build_modules(kind, [rego, *libs], version, resource))
    if "violation" not in modules[0].rules:
        raise PolicyError("the template's Rego has no `violation` rule, so nothing could be asked")
    return ConstraintTemplate(kind, modules, None, schema if isinstance(schema, dict) else {}, resource)


def _select_source(target: dict[str, Any]) -> tuple[str | None, list[str], str, dict[str, Any] | None]:
    """The Rego, its libraries and version; or else what is written in CEL. Rego is taken where there are both."""
    if target.get("rego"):
        return _read_text(target["rego"]), _read_texts(target.get("libs")), "", None
    engines = {get_field(entry, ("engine",)): get_field(entry, ("source",)) for entry in target.get("code") or []}
    rego = engines.get("Rego")
    if isinstance(rego, dict):
        return _read_text(rego.get("rego")), _read_texts(rego.get("libs")), str(rego.get("version") or ""), None
    if isinstance(engines.get(CEL_ENGINE), dict):
        return None, [], "", engines[CEL_ENGINE]
    names = ", ".join(str(name) for name in engines)
    raise PolicyError(f"the template has neither Rego nor {CEL_ENGINE}{f', but {names}' if names else ''}")


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise PolicyError("a template's Rego must be a text")
    return value


def _read_texts(value: Any) -> list[str]:
    return [_read_text(item) for item in value or []]


def _build_modules(kind: str, texts: list[str], version: str, resource: Resource) -> Iterator[RegoModule]:
    for number, text in enumerate(texts):
        found = PACKAGE_LINE.search(text)
        if not found:
            raise PolicyError("a module of the template has no `package` line")
        if number and not found.group(1).startswith("lib"):
            raise PolicyError(f"a library's package must begin with `lib`, not be `{found.group(1)}`")
        for name in _list_data_references(text):
            if name not in ("lib", "inventory"):
                raise PolicyError(f"the template reads `data.{name}`; there are only data.lib and data.inventory")
        package = f"{PACKAGE_ROOT}.{kind}.{found.group(1) if number else 'main'}"
        moved = text[: found.start(1)] + package + text[found.end(1) :]
        moved = re.sub(r"(?<![\w.])data\.lib\b", f"data.{PACKAGE_ROOT}.{kind}.lib", moved)
        name = f"{resource.origin.file} (template {kind.lower()})"
        module = loader.parse_module(moved, name if not number else f"{name}, library {number}")
        yield module._replace(is_v0=False) if version == "v1" else module


def _list_data_references(text: str) -> Iterator[str]:
    """What a module reads of `data`: the first step of each reference."""
    for found in DATA_REFERENCE.finditer(blank_literals(text)):
        read = DATA_PATH.match(text, found.start())
        yield (read.group(1) or read.group(2) or "[...]") if read else ""
