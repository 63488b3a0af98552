"""The explanation of `sync --explain`: where each value of a Secret comes from, without showing any value."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets.fetch_plan import FetchResult, build_query, build_secret_ref, resolve_store_key
from gatekeeper.externalsecrets.model import DataEntry, DataFromEntry, ExternalSecretSpec, RemoteRef
from gatekeeper.externalsecrets.target.value_transforms import decode_value, extract_parts, extract_values
from gatekeeper.secret_value import SecretBytes


def explain_steps(spec: ExternalSecretSpec, fetched: FetchResult) -> Iterator[str]:
    """Yield a line for each step from the stores to the Secret."""
    target = spec.target
    yield f"{spec} ({spec.version}) creates Secret {spec.namespace}/{target.name}"
    policies = f"creationPolicy {target.creation_policy}, deletionPolicy {target.deletion_policy}"
    yield f"  {policies}, read {_format_interval(spec)}"
    for entry in spec.data:
        yield from _explain_entry(spec, entry, fetched)
    for number, many in enumerate(spec.data_from):
        yield from _explain_data_from(spec, number, many, fetched)
    template = target.template
    if template is not None:
        relation = "in addition to the values" if template.is_merged else "instead of the values"
        sources = (f"those of {source.kind} {source.name}".strip() for source in template.sources)
        yield f"  templates ({template.engine}) {relation}: {', '.join([*template.data, *sources]) or 'none'}"


def _format_interval(spec: ExternalSecretSpec) -> str:
    if spec.refresh_policy != "Periodic" or not spec.interval:
        return "once" if spec.refresh_policy != "OnChange" else "when it changes"
    return f"every {spec.interval:g} seconds"


def _explain_entry(spec: ExternalSecretSpec, entry: DataEntry, fetched: FetchResult) -> Iterator[str]:
    key = resolve_store_key(entry.store, spec.namespace)
    yield f"  {entry.secret_key}"
    yield f"    reads {build_secret_ref(entry.remote)} from {key}"
    try:
        value = fetched.get_value(key, build_secret_ref(entry.remote))
        yield f"    found {len(value)} bytes"
        if entry.remote.property:
            [part] = extract_parts([(value, entry.remote.property)])
            if part is None:
                yield f"    MISSING: it has no `{entry.remote.property}`; it has {_format_keys(value)}"
                return
            value = part
            yield f"    takes `{entry.remote.property}`: {len(value)} bytes"
        if entry.remote.decoding != "None":
            decoded = decode_value(value, entry.remote.decoding)
            yield f"    decoded as {entry.remote.decoding}: {len(decoded)} bytes"
    except GatekeeperError as error:
        yield f"    MISSING: {error}"


def _format_keys(value: SecretBytes) -> str:
    """Format the keys of a JSON object; they are not secret: references contain them, too."""
    try:
        names = sorted(extract_values(value))
    except GatekeeperError:
        return "no keys, because it is not a JSON object"
    return ", ".join(f"`{name}`" for name in names) or "no keys"


def _explain_data_from(
    spec: ExternalSecretSpec, number: int, entry: DataFromEntry, fetched: FetchResult
) -> Iterator[str]:
    key, source = resolve_store_key(entry.store, spec.namespace), entry.source
    yield f"  dataFrom[{number}]"
    try:
        if isinstance(source, RemoteRef):
            yield f"    reads {build_secret_ref(source)} from {key}, and takes its keys"
            value = fetched.get_value(key, build_secret_ref(source))
            yield f"    found {len(value)} bytes with {_format_keys(value)}"
        else:
            yield f"    searches {key} below `{source.path or '/'}` for `{source.name}`"
            names = sorted(fetched.get_search_values(key, build_query(source)))
            yield f"    found {', '.join(f'`{name}`' for name in names)}"
        if entry.rewrites:
            yield f"    keys are renamed by {', '.join(rule.kind for rule in entry.rewrites)}"
    except GatekeeperError as error:
        yield f"    MISSING: {error}"
