"""One round of fetching: read what is due, decide for each ExternalSecret, write, and tell of it in the cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets import decision, external_secret_spec, fetch_plan, refresh_schedule, secret_builder
from gatekeeper.externalsecrets import status as externalsecrets_status
from gatekeeper.externalsecrets.collection import Found, Refused
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import Fetched, Plan, StoreKey
from gatekeeper.externalsecrets.model import Wanted
from gatekeeper.externalsecrets.secret_builder import CREATED_BY, MANAGED, go_hash
from gatekeeper.kube import conditions
from gatekeeper.model import at
from gatekeeper.stores.protocol import Store, StoreError

if TYPE_CHECKING:
    from lightkube import Client

# So many requests to the cluster at a time.
AT_ONCE = 16
# So often something is decided anew, because somebody else has changed it meanwhile.
TRIES = 3
Name = tuple[str, str]


class Round(NamedTuple):
    """What a round works on.

    Attributes:
        objects: the ExternalSecrets as they are in the cluster, by namespace and name, where they come from there.
        existing: the Secrets that are there, by namespace and name.
        former: the names of those that an ExternalSecret made, by namespace and its mark.
        now: seconds since 1970, when it began.
    """

    cluster: Client | None
    objects: Mapping[Name, Any]
    existing: Mapping[Name, dict[str, Any]]
    former: Mapping[Name, list[str]]
    now: float


class Done(NamedTuple):
    """What came of a round."""

    plan: Plan
    fetched: Fetched
    decisions: list[Decision]


def begin(cluster: Client | None, found: Found, objects: Mapping[Name, Any], now: float, is_dry: bool) -> Round:
    """A round, with the Secrets that are there already: one request for each namespace, whatever it holds.

    Args:
        is_dry: nothing will be written, so that each Secret must be looked for that writing would find there.
    """
    if cluster is None:
        return Round(None, objects, {}, {}, now)
    from gatekeeper.cluster import secrets

    spaces = sorted({wanted.namespace for wanted in found.wanted})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = list(pool.map(lambda space: secrets.managed(cluster, space, MANAGED), spaces))
    existing = {
        (space, name): one for space, by_name in zip(spaces, held, strict=True) for name, one in by_name.items()
    }
    # Those that are nobody's have no label; whoever wants to merge into one, or has an owner to respect, needs it.
    others = [
        (wanted.namespace, wanted.target.name)
        for wanted in found.wanted
        if (wanted.namespace, wanted.target.name) not in existing
        and (is_dry or wanted.target.creation in ("Merge", "Orphan"))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        looked = list(pool.map(lambda name: secrets.secret(cluster, *name), others))
    existing |= {name: one for name, one in zip(others, looked, strict=True) if one is not None}
    former: dict[Name, list[str]] = {}
    for (space, name), one in existing.items():
        former.setdefault((space, str(at(one, ("metadata", "labels", CREATED_BY)))), []).append(name)
    return Round(cluster, objects, existing, former, now)


def is_due(round_: Round, wanted: Wanted) -> bool:
    """Whether an ExternalSecret is to be read now: by its status, or because its Secret is not as it was written."""
    value = round_.objects.get((wanted.namespace, wanted.name))
    if value is None or refresh_schedule.due_at(wanted, value, round_.now) <= round_.now:
        return True
    return not refresh_schedule.is_valid(wanted, round_.existing.get((wanted.namespace, wanted.target.name)))


def decided(round_: Round, wanted: list[Wanted], opened: Callable[[StoreKey], Store]) -> Done:
    """Reads, each secret once, and decides. Nothing is written."""
    plan = fetch_plan.plan(wanted)
    fetched = fetch_plan.fetch(plan, opened)
    # Templates are filled by another program; more of them than there are cores only wait.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return Done(plan, fetched, list(pool.map(partial(_decided, round_, fetched), wanted)))


def _decided(round_: Round, fetched: Fetched, wanted: Wanted) -> Decision:
    existing = round_.existing.get((wanted.namespace, wanted.target.name))
    return decision.decide(wanted, fetched, existing, _texts(round_.cluster, wanted.namespace))


def _texts(cluster: Client | None, namespace: str) -> secret_builder.TextOf:
    from gatekeeper.cluster import secrets

    def text_of(kind: str, name: str, key: str) -> str:
        found = secrets.text(cluster, kind, namespace, name, key) if cluster is not None else None
        if found is None:
            raise StoreError(f"the template in {kind} {name}, `{key}`, is not there")
        return found

    return text_of


def written(round_: Round, done: Done) -> Done:
    """Does what was decided, and tells of it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return done._replace(decisions=list(pool.map(partial(_carried_out, round_, done.fetched), done.decisions)))


def _carried_out(round_: Round, fetched: Fetched, one: Decision) -> Decision:
    try:
        one = _written(round_, fetched, one)
        _tell(round_, one)
    except GateError as error:
        return Decision(one.wanted, "failed", str(error), may_pass=True)
    return one


def _written(round_: Round, fetched: Fetched, one: Decision) -> Decision:
    from gatekeeper.cluster import secrets

    cluster, wanted = round_.cluster, one.wanted
    assert cluster is not None
    for _ in range(TRIES):
        try:
            if one.secret is not None:
                secrets.write(cluster, one.secret, secret_builder.manager(wanted), one.action == "create")
            elif one.action == "delete":
                secrets.delete(cluster, wanted.namespace, wanted.target.name)
        except secrets.Conflict:
            # It is there, or was changed, since it was looked for: what is there now decides.
            existing = secrets.secret(cluster, wanted.namespace, wanted.target.name)
            one = decision.decide(wanted, fetched, existing, _texts(cluster, wanted.namespace))
            continue
        except GateError as error:
            return Decision(wanted, "failed", str(error), may_pass=True)
        if one.action in ("create", "change", "as it is"):
            _tidy(round_, wanted)
        return one
    return Decision(wanted, "failed", "somebody else changes the Secret again and again", may_pass=True)


def _tidy(round_: Round, wanted: Wanted) -> None:
    """Takes away the Secret that an ExternalSecret had before it was given another name for it."""
    from gatekeeper.cluster import secrets

    assert round_.cluster is not None
    if wanted.target.creation != "Owner":
        return
    for name in round_.former.get((wanted.namespace, go_hash(f"{wanted.namespace}/{wanted.name}")), ()):
        if name != wanted.target.name:
            secrets.delete(round_.cluster, wanted.namespace, name)


def refuse(round_: Round, refused: Iterable[Refused]) -> None:
    """Tells in the cluster of ExternalSecrets that are not followed."""
    for one in refused:
        value = round_.objects.get((one.namespace, one.name))
        if value is not None:
            _tell_of(
                round_, value, Decision(external_secret_spec.nothing(one.namespace, one.name), "failed", one.reason)
            )


def _tell(round_: Round, one: Decision) -> None:
    """Writes status and events, where the ExternalSecret is in the cluster."""
    value = round_.objects.get((one.wanted.namespace, one.wanted.name))
    if value is not None:
        _tell_of(round_, value, one)


def _tell_of(round_: Round, value: Any, one: Decision) -> None:
    from gatekeeper.cluster import external_secrets

    assert round_.cluster is not None
    status = externalsecrets_status.status_of(one, value, round_.now)
    if status != (at(value, ("status",)) or {}):
        external_secrets.tell(round_.cluster, value, status)
    for told in externalsecrets_status.events_of(one, value):
        external_secrets.note(round_.cluster, conditions.event(told, value, round_.now))
