"""What a Kustomization asks for beside its objects; a field that is not followed is refused by name.

Source: kustomize-controller `api/{v1beta1,v1beta2,v1}/kustomization_types.go`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply.order import Object
from gatekeeper.errors import SealError
from gatekeeper.flux import health_expressions, ignore_rules, ownership
from gatekeeper.flux.health_expressions import Rule
from gatekeeper.flux.ignore_rules import Ignore
from gatekeeper.kube.decoder import Fields
from gatekeeper.model import at

# What rendering follows, and what is nothing to applying: how a deletion is carried out, old words for validation.
RENDERED = (
    "path", "sourceRef", "targetNamespace", "namePrefix", "nameSuffix", "patches", "patchesStrategicMerge",
    "patchesJson6902", "images", "components", "commonMetadata", "postBuild", "decryption", "dependsOn",
    "deletionPolicy", "validation", "buildMetadata", "prune", "force", "suspend",
)  # fmt: skip
MINUTE, HEALTH_MARGIN, SHORTEST = 60.0, 30.0, 30.0
VARIABLE = re.compile(rb"\$\{[A-Za-z_][A-Za-z0-9_]*")


class Check(NamedTuple):
    """An object that must be as it shall be.

    Attributes:
        rule: says what that is; None for what is usual.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    rule: Rule | None = None


class Wanted(NamedTuple):
    """What is waited for.

    Attributes:
        wait: whether all that is applied must be there.
        timeout: seconds.
        cluster: the Secret with the kubeconfig of another cluster, and the key in it; None for one's own.
        rules: what objects of some kinds are as they shall be by.
        ignored: which fields of what is applied may differ.
        account: the ServiceAccount of the Kustomization's namespace whose rights count; empty for one's own.
    """

    wait: bool
    checks: tuple[Check, ...]
    timeout: float
    account: str = ""
    rules: tuple[Rule, ...] = ()
    cluster: tuple[str, str] | None = None
    ignored: tuple[Ignore, ...] = ()


def read(kustomization: Object) -> Wanted:
    """What a Kustomization asks for.

    Raises:
        FieldError: a field is not valid, or is not supported.
    """
    spec = Fields(kustomization["spec"], ("spec",))
    for name in RENDERED:
        spec.has(name)
    for fields in spec.each("dependsOn"):
        for name in ("name", "namespace"):
            fields.text(name, "")
        if fields.has("readyExpr"):
            health_expressions.check(fields.text("readyExpr"))
        fields.end()
    decryption = spec.inner("decryption")
    if decryption is not None:
        decryption.choice("provider", ("sops",), "sops")
    interval = spec.seconds("interval", MINUTE)
    spec.seconds("retryInterval", interval)
    timeout = spec.seconds("timeout", max(interval - HEALTH_MARGIN, SHORTEST))
    rules = tuple(map(health_expressions.read, spec.each("healthCheckExprs")))
    checks = []
    for fields in spec.each("healthChecks"):
        namespace = fields.text("namespace", "") or at(kustomization, ("metadata", "namespace")) or ""
        api_version, kind = fields.text("apiVersion", "apps/v1"), fields.text("kind")
        checks.append(ruled(Check(api_version, kind, namespace, fields.text("name")), rules))
        fields.end()
    ignored = tuple(map(ignore_rules.read, spec.each("ignore")))
    account = spec.text("serviceAccountName", "")
    found = Wanted(spec.flag("wait"), tuple(checks), timeout, account, rules, _cluster(spec), ignored)
    spec.end("is not supported yet")
    return found


def _cluster(spec: Fields) -> tuple[str, str] | None:
    fields = spec.inner("kubeConfig")
    if fields is None:
        return None
    secret = fields.inner("secretRef")
    if secret is None:
        fields.refuse("secretRef", "is missing; `configMapRef` is not supported yet")
    found = secret.text("name"), secret.text("key", "")
    secret.end()
    fields.end("is not supported yet")
    return found


def ruled(check: Check, rules: Sequence[Rule]) -> Check:
    """A check by the rule that is about its kind; one that names the kind counts before one for a whole group."""
    fitting = [rule for rule in rules if rule.is_for(check.api_version, check.kind)]
    return check._replace(rule=max(fitting, key=lambda rule: bool(rule.kind), default=None))


def complete(objects: Sequence[Object], kustomization: Object) -> None:
    """Returns where every variable of `postBuild` has its value.

    Raises:
        SealError: one has none: what it is in, and which.
    """
    if at(kustomization, ("spec", "postBuild")) is None:
        return
    for value in objects:
        if ownership.says(value, "substitute", "disabled"):
            continue
        left = VARIABLE.search(orjson.dumps(value))
        if left:
            name: Any = at(value, ("metadata", "name"))
            shown = left[0].decode()[2:]
            raise SealError(f"{value.get('kind')} {name}: nothing in the repository sets `{shown}` (`spec.postBuild`)")
