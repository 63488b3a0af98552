"""ExternalSecrets that ask for what their namespace may not read, by the config's `secrets.allow`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.model import Finding, Resource

HINT = "ask for another key, or add a rule to `secrets.allow` in gatekeeper.yaml"


def judge(resources: Sequence[Resource], rules: Sequence[Mapping[str, str]]) -> Iterator[Finding]:
    """What may not be read; and, where there are rules, what cannot be told, because it is not understood."""
    if not rules:
        return
    # Most repositories have no such rules, and a hook has no time to lose.
    from gatekeeper.external import allowing, reading
    from gatekeeper.fields import FieldError

    for resource in resources:
        if resource.ref.kind != "ExternalSecret" or resource.ref.group != reading.GROUP:
            continue
        try:
            wanted = reading.read(resource.value, resource.ref.namespace or "default")
        except FieldError as error:
            message = f"cannot be judged by `secrets.allow`: {error}"
            place = resource.origin.place(error.path)
            yield Finding("external/unknown", "error", message, place, resource.ref, error.path, HINT, "field")
            continue
        for path, reason in allowing.refusals(wanted, rules):
            place = resource.origin.place(path)
            yield Finding("external/not-allowed", "error", reason, place, resource.ref, path, HINT, "field")
