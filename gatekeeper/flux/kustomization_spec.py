"""What a Kustomization asks for beside its objects; a field that is not followed is refused by name.

Source: kustomize-controller `api/{v1beta1,v1beta2,v1}/kustomization_types.go`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply.order import Object
from gatekeeper.errors import SpecError
from gatekeeper.flux import health_expressions, ignore_rules, ownership
from gatekeeper.flux.health_expressions import HealthRule
from gatekeeper.flux.ignore_rules import IgnoreRule
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import get_field

# What rendering follows, and what is nothing to applying: how a deletion is carried out, old words for validation.
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
    """An object that must be as it shall be.

    Attributes:
        rule: says what that is; None for what is usual.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    rule: HealthRule | None = None


class KustomizationSpec(NamedTuple):
    """What is waited for.

    Attributes:
        should_wait_for_all: whether all that is applied must be there.
        timeout_seconds: seconds.
        kubeconfig_secret: the Secret with the kubeconfig of another cluster, and the key in it; None for one's own.
        health_rules: what objects of some kinds are as they shall be by.
        ignore_rules: which fields of what is applied may differ.
        service_account: the ServiceAccount of the Kustomization's namespace whose rights count; empty for one's own.
    """

    should_wait_for_all: bool
    health_checks: tuple[HealthCheck, ...]
    timeout_seconds: float
    service_account: str = ""
    health_rules: tuple[HealthRule, ...] = ()
    kubeconfig_secret: tuple[str, str] | None = None
    ignore_rules: tuple[IgnoreRule, ...] = ()


def parse_kustomization_spec(kustomization: Object) -> KustomizationSpec:
    """What a Kustomization asks for.

    Raises:
        FieldError: a field is not valid, or is not supported.
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
    found = KustomizationSpec(
        spec.read_bool("wait"), tuple(checks), timeout, account, rules, _parse_kubeconfig(spec), ignored
    )
    spec.reject_unknown("is not supported yet")
    return found


def _parse_kubeconfig(spec: FieldReader) -> tuple[str, str] | None:
    fields = spec.read_object("kubeConfig")
    if fields is None:
        return None
    secret = fields.read_object("secretRef")
    if secret is None:
        fields.reject_field("secretRef", "is missing; `configMapRef` is not supported yet")
    found = secret.read_string("name"), secret.read_string("key", "")
    secret.reject_unknown()
    fields.reject_unknown("is not supported yet")
    return found


def attach_rule(check: HealthCheck, rules: Sequence[HealthRule]) -> HealthCheck:
    """A check by the rule that is about its kind; one that names the kind counts before one for a whole group."""
    fitting = [rule for rule in rules if rule.is_for(check.api_version, check.kind)]
    return check._replace(rule=max(fitting, key=lambda rule: bool(rule.kind), default=None))


def require_variables(objects: Sequence[Object], kustomization: Object) -> None:
    """Returns where every variable of `postBuild` has its value.

    Raises:
        SpecError: one has none: what it is in, and which.
    """
    if get_field(kustomization, ("spec", "postBuild")) is None:
        return
    for value in objects:
        if ownership.has_mark(value, "substitute", "disabled"):
            continue
        left = VARIABLE.search(orjson.dumps(value))
        if left:
            name: Any = get_field(value, ("metadata", "name"))
            shown = left[0].decode()[2:]
            raise SpecError(f"{value.get('kind')} {name}: nothing in the repository sets `{shown}` (`spec.postBuild`)")
