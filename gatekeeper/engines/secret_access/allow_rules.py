"""Finds ExternalSecrets that request keys which `secrets.allow` of the config does not allow their namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.externalsecrets import access_rules, cluster_external_secret, external_secret_spec
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Finding, Resource, read_labels

ACCESS_HINT = "use a different key, or add a rule to `secrets.allow` in gatekeeper.yaml"


def evaluate(resources: Sequence[Resource], rules: Sequence[Mapping[str, str]]) -> Iterator[Finding]:
    """Finds references that are not allowed and ExternalSecrets that cannot be parsed."""
    known = {
        resource.ref.name: read_labels(resource.value)
        for resource in resources
        if (resource.ref.group, resource.ref.kind) == ("", "Namespace")
    }
    for resource in resources:
        if resource.ref.kind not in ("ExternalSecret", cluster_external_secret.KIND) or resource.ref.group != GROUP:
            continue
        value, is_spread = resource.value, resource.ref.kind == cluster_external_secret.KIND
        try:
            values = list(cluster_external_secret.expand(value, known, False)) if is_spread else [value]
            refusals = dict.fromkeys(
                refusal
                for item in values
                for refusal in access_rules.find_refusals(
                    external_secret_spec.parse_external_secret(item, resource.ref.namespace or "default"), rules
                )
            )
        except FieldError as error:
            message = f"cannot be checked against `secrets.allow`: {error}"
            yield resource.build_finding("external/unknown", message, error.path, hint=ACCESS_HINT)
            continue
        for path, reason in refusals:
            # In a ClusterExternalSecret the ExternalSecret's `spec` stands one level down.
            whole = (*cluster_external_secret.SPEC_PATH, *path[1:]) if is_spread else path
            yield resource.build_finding("external/not-allowed", reason, whole, hint=ACCESS_HINT)
