"""Policies in CEL, as in ValidatingAdmissionPolicies and in OPA Gatekeeper's K8sNativeValidation.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/; the API server's own
validator evaluates them in the program `gatekeeper-upstream`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatekeeper.engines.admission.policy_fields import read_mappings, read_text
from gatekeeper.errors import PolicyError
from gatekeeper.upstream.cel_evaluation import CelSource, compile_sources
from gatekeeper.upstream.client import UpstreamClient

# Values that are not known yet: a Flux variable that nothing here sets, and ciphertext of SOPS.
MARKERS = (b"${", b"ENC[")
EVALUATED_FIELDS = (
    "paramKind",
    "variables",
    "matchConditions",
    "validations",
    "auditAnnotations",
    "failurePolicy",
)


class CelPolicy:
    """The variables, conditions and validations of a policy.

    Args:
        spec: the `spec` of a ValidatingAdmissionPolicy.
        is_in_api: whether the API server evaluates the policy.

    Raises:
        PolicyError: the specification is malformed.
    """

    def __init__(self, name: str, spec: Mapping[str, Any], is_in_api: bool) -> None:
        self._variables = _read_expressions(spec, "variables")
        self._conditions = _read_expressions(spec, "matchConditions")
        self._validations = _read_expressions(spec, "validations")
        self._messages = [str(entry.get("messageExpression") or "") for entry in read_mappings(spec, "validations")]
        annotations = read_mappings(spec, "auditAnnotations")
        self._annotations = [read_text(entry, "valueExpression") for entry in annotations]
        if not self._validations and not annotations:
            raise PolicyError("the policy has no `validations`, so it cannot refuse anything")
        evaluated = {field: spec[field] for field in EVALUATED_FIELDS if spec.get(field)}
        self.source = CelSource(name, orjson.dumps(evaluated), is_in_api)

    @property
    def has_annotations(self) -> bool:
        """Whether it has `auditAnnotations`."""
        return bool(self._annotations)

    def has_variable(self, variable: str) -> bool:
        """Whether any expression uses a root variable."""
        texts = "\n".join([self.text, *self._messages, *self._annotations])
        return re.search(rf"(?<![\w.]){variable}\b", texts) is not None

    @property
    def text(self) -> str:
        """All expressions that decide, for finding the fields that they read."""
        return "\n".join([*self._variables, *self._conditions, *self._validations])


def check_compilation(client: UpstreamClient, policy: CelPolicy) -> None:
    """Compiles a policy.

    Raises:
        PolicyError: an expression does not compile.
        ToolError: the program cannot be used.
    """
    [error] = compile_sources(client, [policy.source])
    if error:
        raise PolicyError(f"the CEL expression of {' '.join(error.split())}")


def has_marker(json: bytes) -> bool:
    """Whether an object (JSON) has a value that is not known yet."""
    return any(marker in json for marker in MARKERS)


def _read_expressions(spec: Mapping[str, Any], field: str) -> Sequence[str]:
    return [read_text(entry, "expression") for entry in read_mappings(spec, field)]
