"""Where each value of a Secret comes from, step by step, or where it got lost; with no value in it."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import value_transforms as making
from gatekeeper.externalsecrets.fetch_plan import Fetched, key_of, query_of, wish_of
from gatekeeper.externalsecrets.model import Item, Many, Remote, Wanted
from gatekeeper.secret_value import Hidden


def steps(wanted: Wanted, fetched: Fetched) -> Iterator[str]:
    """Each step of an ExternalSecret, a line each."""
    yield f"{wanted} ({wanted.version}) makes Secret {wanted.namespace}/{wanted.target.name}"
    yield f"  creationPolicy {wanted.target.creation}, deletionPolicy {wanted.target.deletion}, read {_often(wanted)}"
    for item in wanted.items:
        yield from _item(wanted, item, fetched)
    for number, many in enumerate(wanted.many):
        yield from _many(wanted, number, many, fetched)
    template = wanted.target.template
    if template is not None:
        kept = "beside the values" if template.merge else "instead of the values"
        names = ", ".join(
            [*template.data, *(f"those of {source.kind} {source.name}".strip() for source in template.sources)]
        )
        yield f"  templates ({template.engine}) {kept}: {names or 'none'}"


def _often(wanted: Wanted) -> str:
    if wanted.refresh != "Periodic" or not wanted.interval:
        return "once" if wanted.refresh != "OnChange" else "when it changes"
    return f"every {wanted.interval:g} seconds"


def _item(wanted: Wanted, item: Item, fetched: Fetched) -> Iterator[str]:
    key = key_of(item.store, wanted.namespace)
    yield f"  {item.secret_key}"
    yield f"    reads {wish_of(item.remote)} of {key}"
    try:
        text = fetched.value(key, wish_of(item.remote))
        yield f"    found {len(text)} bytes"
        if item.remote.property:
            [part] = making.parts([(text, item.remote.property)])
            if part is None:
                yield f"    LOST: it has no `{item.remote.property}`; it has {_names(text)}"
                return
            text = part
            yield f"    of them `{item.remote.property}`: {len(text)} bytes"
        if item.remote.decoding != "None":
            yield f"    decoded as {item.remote.decoding}: {len(making.decoded(text, item.remote.decoding))} bytes"
    except GateError as error:
        yield f"    LOST: {error}"


def _names(text: Hidden) -> str:
    """The keys of a JSON object, which are no secret: references name them, too."""
    try:
        names = sorted(making.each(text))
    except GateError:
        return "no keys, for it is no JSON object"
    return ", ".join(f"`{name}`" for name in names) or "no keys"


def _many(wanted: Wanted, number: int, many: Many, fetched: Fetched) -> Iterator[str]:
    key = key_of(many.store, wanted.namespace)
    what = many.what
    yield f"  dataFrom[{number}]"
    try:
        if isinstance(what, Remote):
            yield f"    reads {wish_of(what)} of {key}, and takes its keys"
            text = fetched.value(key, wish_of(what))
            yield f"    found {len(text)} bytes with {_names(text)}"
        else:
            yield f"    searches {key} below `{what.path or '/'}` for `{what.name}`"
            yield f"    found {', '.join(f'`{name}`' for name in sorted(fetched.all(key, query_of(what))))}"
        if many.rewrite:
            yield f"    keys are renamed by {', '.join(rule.kind for rule in many.rewrite)}"
    except GateError as error:
        yield f"    LOST: {error}"
