"""Where each value of a Secret comes from, step by step, or where it got lost; with no value in it."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import value_transforms as making
from gatekeeper.externalsecrets.fetch_plan import FetchResult, build_query, build_secret_ref, resolve_store_key
from gatekeeper.externalsecrets.model import DataEntry, DataFromEntry, ExternalSecretSpec, RemoteRef
from gatekeeper.secret_value import SecretBytes


def explain_steps(spec: ExternalSecretSpec, fetched: FetchResult) -> Iterator[str]:
    """Each step of an ExternalSecret, a line each."""
    yield f"{spec} ({spec.version}) makes Secret {spec.namespace}/{spec.target.name}"
    target = spec.target
    policies = f"creationPolicy {target.creation_policy}, deletionPolicy {target.deletion_policy}"
    yield f"  {policies}, read {_format_interval(spec)}"
    for item in spec.data:
        yield from _explain_item(spec, item, fetched)
    for number, many in enumerate(spec.data_from):
        yield from _explain_entry(spec, number, many, fetched)
    template = spec.target.template
    if template is not None:
        kept = "beside the values" if template.is_merged else "instead of the values"
        names = ", ".join(
            [*template.data, *(f"those of {source.kind} {source.name}".strip() for source in template.sources)]
        )
        yield f"  templates ({template.engine}) {kept}: {names or 'none'}"


def _format_interval(spec: ExternalSecretSpec) -> str:
    if spec.refresh_policy != "Periodic" or not spec.interval:
        return "once" if spec.refresh_policy != "OnChange" else "when it changes"
    return f"every {spec.interval:g} seconds"


def _explain_item(spec: ExternalSecretSpec, item: DataEntry, fetched: FetchResult) -> Iterator[str]:
    key = resolve_store_key(item.store, spec.namespace)
    yield f"  {item.secret_key}"
    yield f"    reads {build_secret_ref(item.remote)} of {key}"
    try:
        text = fetched.get_value(key, build_secret_ref(item.remote))
        yield f"    found {len(text)} bytes"
        if item.remote.property:
            [part] = making.extract_parts([(text, item.remote.property)])
            if part is None:
                yield f"    LOST: it has no `{item.remote.property}`; it has {_format_keys(text)}"
                return
            text = part
            yield f"    of them `{item.remote.property}`: {len(text)} bytes"
        if item.remote.decoding != "None":
            yield f"    decoded as {item.remote.decoding}: {len(making.decode_value(text, item.remote.decoding))} bytes"
    except GateError as error:
        yield f"    LOST: {error}"


def _format_keys(text: SecretBytes) -> str:
    """The keys of a JSON object, which are no secret: references name them, too."""
    try:
        names = sorted(making.extract_values(text))
    except GateError:
        return "no keys, for it is no JSON object"
    return ", ".join(f"`{name}`" for name in names) or "no keys"


def _explain_entry(spec: ExternalSecretSpec, number: int, entry: DataFromEntry, fetched: FetchResult) -> Iterator[str]:
    key = resolve_store_key(entry.store, spec.namespace)
    what = entry.source
    yield f"  dataFrom[{number}]"
    try:
        if isinstance(what, RemoteRef):
            yield f"    reads {build_secret_ref(what)} of {key}, and takes its keys"
            text = fetched.get_value(key, build_secret_ref(what))
            yield f"    found {len(text)} bytes with {_format_keys(text)}"
        else:
            yield f"    searches {key} below `{what.path or '/'}` for `{what.name}`"
            names = sorted(fetched.get_search_values(key, build_query(what)))
            yield f"    found {', '.join(f'`{name}`' for name in names)}"
        if entry.rewrites:
            yield f"    keys are renamed by {', '.join(rule.kind for rule in entry.rewrites)}"
    except GateError as error:
        yield f"    LOST: {error}"
