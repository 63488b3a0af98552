"""ConstraintTemplates of OPA Gatekeeper, parsed to Rego modules or CEL expressions.

Two templates may have packages of the same name, so the packages of each template are moved below its kind.

Source: https://open-policy-agent.github.io/gatekeeper/website/docs/constrainttemplates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gatekeeper.engines.admission.model import ConstraintTemplate
from gatekeeper.engines.admission.policy_fields import parse_texts, read_text
from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.loader import PACKAGE_LINE
from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.engines.rego.rego_text import blank_literals
from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Resource, get_field

GROUP = "templates.gatekeeper.sh"
ADMISSION_TARGET = "admission.k8s.gatekeeper.sh"
CEL_ENGINE = "K8sNativeValidation"
DATA_REFERENCE = compile_lazily(r"(?<![\w.])data(?=[.\[])")
DATA_PATH = compile_lazily(r'data(?:\.(\w+)|\["(\w+)"\])?')
# The package around the packages of all templates.
PACKAGE_ROOT = "constraint_templates"


def is_template(resource: Resource) -> bool:
    """Whether a resource is a ConstraintTemplate."""
    return resource.ref.kind == "ConstraintTemplate" and resource.ref.group == GROUP


def parse_template(resource: Resource) -> ConstraintTemplate:
    """Parses a ConstraintTemplate (v1, v1beta1 or v1alpha1).

    Raises:
        PolicyError: the template is malformed, or uses an unsupported feature.
    """
    value = resource.value
    kind = get_field(value, ("spec", "crd", "spec", "names", "kind"))
    if not isinstance(kind, str) or not kind.isidentifier():
        raise PolicyError("a template needs the kind of its constraints in `spec.crd.spec.names.kind`")
    if resource.ref.name != kind.lower():
        raise PolicyError(f"a template for {kind} must be named `{kind.lower()}`, or OPA Gatekeeper refuses it")
    targets = get_field(value, ("spec", "targets"))
    if not isinstance(targets, list) or len(targets) != 1 or get_field(targets[0], ("target",)) != ADMISSION_TARGET:
        raise PolicyError(f"a template needs exactly one target, {ADMISSION_TARGET}")
    schema = get_field(value, ("spec", "crd", "spec", "validation", "openAPIV3Schema"))
    rego, libs, version, cel = _select_source(targets[0])
    if rego is None:
        return ConstraintTemplate(kind, (), cel, schema if isinstance(schema, dict) else {}, resource)
    modules = tuple(_build_modules(kind, [rego, *libs], version, resource))
    if "violation" not in modules[0].rules:
        raise PolicyError("the template's Rego has no `violation` rule, so it cannot find anything")
    return ConstraintTemplate(kind, modules, None, schema if isinstance(schema, dict) else {}, resource)


def _select_source(target: dict[str, Any]) -> tuple[str | None, list[str], str, dict[str, Any] | None]:
    """Selects the Rego, its libraries and version, or else the CEL source; Rego is preferred if there are both."""
    if target.get("rego"):
        return read_text(target, "rego"), _read_libraries(target), "", None
    engines = {get_field(entry, ("engine",)): get_field(entry, ("source",)) for entry in target.get("code") or []}
    rego = engines.get("Rego")
    if isinstance(rego, dict):
        return read_text(rego, "rego"), _read_libraries(rego), str(rego.get("version") or ""), None
    if isinstance(engines.get(CEL_ENGINE), dict):
        return None, [], "", engines[CEL_ENGINE]
    names = ", ".join(str(name) for name in engines)
    raise PolicyError(f"the template has no Rego and no {CEL_ENGINE}{f', but {names}' if names else ''}")


def _read_libraries(source: dict[str, Any]) -> list[str]:
    return list(parse_texts(source.get("libs") or [], "libs"))


def _build_modules(kind: str, texts: list[str], version: str, resource: Resource) -> Iterator[RegoModule]:
    for number, text in enumerate(texts):
        package_line = PACKAGE_LINE.search(text)
        if not package_line:
            raise PolicyError("a module of the template has no `package` line")
        if number and not package_line.group(1).startswith("lib"):
            raise PolicyError(f"the package of a library must begin with `lib`, not `{package_line.group(1)}`")
        for name in _list_data_references(text):
            if name not in ("lib", "inventory"):
                raise PolicyError(f"the template reads `data.{name}`; it can read only data.lib and data.inventory")
        package = f"{PACKAGE_ROOT}.{kind}.{package_line.group(1) if number else 'main'}"
        moved = text[: package_line.start(1)] + package + text[package_line.end(1) :]
        moved = re.sub(r"(?<![\w.])data\.lib\b", f"data.{PACKAGE_ROOT}.{kind}.lib", moved)
        name = f"{resource.origin.file} (template {kind.lower()})"
        module = loader.parse_module(moved, name if not number else f"{name}, library {number}")
        yield module._replace(is_v0=False) if version == "v1" else module


def _list_data_references(text: str) -> Iterator[str]:
    """Lists the first step of each reference to `data` in a module."""
    for reference in DATA_REFERENCE.finditer(blank_literals(text)):
        path = DATA_PATH.match(text, reference.start())
        yield (path.group(1) or path.group(2) or "[...]") if path else ""
