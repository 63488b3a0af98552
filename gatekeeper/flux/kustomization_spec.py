"""Parses the fields of a Kustomization that decide how it is applied; unsupported fields are rejected by name.

Source: kustomize-controller `api/{v1beta1,v1beta2,v1}/kustomization_types.go`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.errors import SpecError
from gatekeeper.flux import health_expressions, ignore_rules, ownership
from gatekeeper.flux.health_expressions import HealthRule
from gatekeeper.flux.ignore_rules import IgnoreRule
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

# Fields that rendering and deletion read, and deprecated ones without effect.
RENDER_FIELDS = (
    "path",
    "sourceRef",
    "targetNamespace",
    "namePrefix",
    "nameSuffix",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "images",
    "components",
    "commonMetadata",
    "postBuild",
    "decryption",
    "dependsOn",
    "deletionPolicy",
    "validation",
    "buildMetadata",
    "prune",
    "force",
    "suspend",
)
DEFAULT_INTERVAL_SECONDS, HEALTH_MARGIN_SECONDS, MIN_TIMEOUT_SECONDS = 60.0, 30.0, 30.0
VARIABLE = re.compile(rb"\$\{[A-Za-z_][A-Za-z0-9_]*")


class HealthCheck(NamedTuple):
    """An object that must become healthy.

    Attributes:
        rule: decides whether it is; None for kstatus.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    rule: HealthRule | None = None

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class KustomizationSpec(NamedTuple):
    """How a Kustomization is applied.

    Attributes:
        should_wait_for_all: whether all applied objects must become healthy.
        health_checks: the objects that must become healthy otherwise.
        timeout_seconds: how long the wait for health may take.
        service_account: the ServiceAccount in its namespace whose rights count; empty for those of this process.
        health_rules: health expressions by kind.
        kubeconfig_secret: the Secret with the kubeconfig of another cluster, and its key; None for its own cluster.
        ignore_rules: the fields of applied objects that may differ.
    """

    should_wait_for_all: bool
    health_checks: tuple[HealthCheck, ...]
    timeout_seconds: float
    service_account: str = ""
    health_rules: tuple[HealthRule, ...] = ()
    kubeconfig_secret: tuple[str, str] | None = None
    ignore_rules: tuple[IgnoreRule, ...] = ()


def parse_kustomization_spec(kustomization: Object) -> KustomizationSpec:
    """The specification of a Kustomization.

    Raises:
        FieldError: a field is not valid, or is not supported.
        SpecError: an expression does not compile.
    """
    spec = FieldReader(kustomization["spec"], ("spec",))
    for name in RENDER_FIELDS:
        spec.has_field(name)
    for fields in spec.read_objects("dependsOn"):
        for name in ("name", "namespace"):
            fields.read_string(name, "")
        if fields.has_field("readyExpr"):
            health_expressions.check_expression(fields.read_string("readyExpr"))
        fields.reject_unknown()
    decryption = spec.read_object("decryption")
    if decryption is not None:
        decryption.read_choice("provider", ("sops",), "sops")
    interval = spec.read_duration("interval", DEFAULT_INTERVAL_SECONDS)
    spec.read_duration("retryInterval", interval)
    timeout = spec.read_duration("timeout", max(interval - HEALTH_MARGIN_SECONDS, MIN_TIMEOUT_SECONDS))
    rules = tuple(map(health_expressions.parse_health_rule, spec.read_objects("healthCheckExprs")))
    checks = []
    for fields in spec.read_objects("healthChecks"):
        namespace = fields.read_string("namespace", "") or get_field(kustomization, ("metadata", "namespace")) or ""
        api_version, kind = fields.read_string("apiVersion", "apps/v1"), fields.read_string("kind")
        checks.append(attach_rule(HealthCheck(api_version, kind, namespace, fields.read_string("name")), rules))
        fields.reject_unknown()
    ignored = tuple(map(ignore_rules.parse_ignore_rule, spec.read_objects("ignore")))
    account = spec.read_string("serviceAccountName", "")
    parsed = KustomizationSpec(
        should_wait_for_all=spec.read_bool("wait"),
        health_checks=tuple(checks),
        timeout_seconds=timeout,
        service_account=account,
        health_rules=rules,
        kubeconfig_secret=_parse_kubeconfig(spec),
        ignore_rules=ignored,
    )
    spec.reject_unknown("is not supported yet")
    return parsed


def _parse_kubeconfig(spec: FieldReader) -> tuple[str, str] | None:
    fields = spec.read_object("kubeConfig")
    if fields is None:
        return None
    secret = fields.read_object("secretRef")
    if secret is None:
        fields.reject_field("secretRef", "is missing; `configMapRef` is not supported yet")
    name, key = secret.read_string("name"), secret.read_string("key", "")
    secret.reject_unknown()
    fields.reject_unknown("is not supported yet")
    return name, key


def attach_rule(check: HealthCheck, rules: Sequence[HealthRule]) -> HealthCheck:
    """The check with the rule for its kind; a rule for the kind precedes one for the whole group."""
    matching = [rule for rule in rules if rule.is_for(check.api_version, check.kind)]
    return check._replace(rule=max(matching, key=lambda rule: bool(rule.kind), default=None))


def require_variables(objects: Sequence[Object], kustomization: Object) -> None:
    """Checks that no `${VAR}` is left in the objects of a Kustomization with `postBuild`.

    Raises:
        SpecError: a variable has no value: its object and name.
    """
    if get_field(kustomization, ("spec", "postBuild")) is None:
        return
    for value in objects:
        if ownership.has_mark(value, "substitute", "disabled"):
            continue
        match = VARIABLE.search(orjson.dumps(value))
        if match:
            name: Any = get_field(value, ("metadata", "name"))
            variable = match[0].decode()[2:]
            raise SpecError(
                f"{value.get('kind')} {name}: nothing in the repository sets `{variable}` (`spec.postBuild`)"
            )
