"""Results of `gatekeeper-kyverno`: descriptions of policies, results of rules, mutations, and their decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.upstream.answers import decode_answer, decode_list

PROGRAM = "gatekeeper-kyverno"
UNKNOWN_NAMESPACE = "unknownNamespace"
# The status of a policy that the program was lost on, or that was late: it is evaluated on no further object.
LOST = "lost"
STATUSES = ("pass", "fail", "warn", "skip", "error", UNKNOWN_NAMESPACE)


class RuleResult(NamedTuple):
    """The result of one rule on one object.

    Attributes:
        policy: the position of the policy; -1 if no policy could be evaluated on the object.
        rule: the name of the rule; empty for a policy in CEL, or if the result is about all rules.
        status: `pass`, `fail`, `warn`, `skip`, `error`, `unknownNamespace` with the name as message, or `lost` if the
            policy is evaluated on no further object.
        path: the field at fault as Kyverno writes it (`/spec/containers/0/image/`); empty where it names none.
        is_enforced: whether the cluster refuses the object.
    """

    policy: int
    rule: str
    status: str
    message: str = ""
    path: str = ""
    is_enforced: bool = False


class PolicyDescription(NamedTuple):
    """What is evaluated of a policy.

    Attributes:
        rules: the names of the rules that validate; one empty name for a policy in CEL.
        mutating: the names of the rules that mutate admitted objects.
        notes: what the policy does besides validating objects.
        refusals: why rules are not evaluated.
    """

    rules: Sequence[str]
    mutating: Sequence[str]
    notes: Sequence[str]
    refusals: Sequence[str]


class Mutation(NamedTuple):
    """An object as the mutating rules change it.

    Attributes:
        object: None if no rule changes it.
        changes: the rules that were applied.
        faults: the rules that could not be applied.
    """

    object: dict[str, Any] | None
    changes: Sequence[RuleResult]
    faults: Sequence[RuleResult]


def decode_descriptions(
    answer: Any, policy_count: int, exception_count: int
) -> tuple[list[PolicyDescription], list[str]]:
    """The description of each policy, and the fault of each exception (empty without one).

    Raises:
        ToolError: the answer has another form.
    """
    policies, faults = decode_answer(lambda fields: (fields["policies"] or [], fields["faults"] or []), answer, PROGRAM)
    return (
        decode_list(_decode_description, policies, policy_count, PROGRAM),
        decode_list(_check_text, faults, exception_count, PROGRAM),
    )


def decode_results(answer: Any, object_count: int, policy_count: int) -> list[list[RuleResult]]:
    """The results for each object.

    Raises:
        ToolError: the answer has another form.
    """
    return decode_list(lambda entries: _decode_entries(entries, policy_count), answer, object_count, PROGRAM)


def decode_mutations(answer: Any, object_count: int, policy_count: int) -> list[Mutation]:
    """The mutation of each object.

    Raises:
        ToolError: the answer has another form.
    """

    def decode(entry: Mapping[str, Any]) -> Mutation:
        changed = entry["object"]
        if not isinstance(changed, dict | None):
            raise TypeError("not an object")
        changes, faults = (_decode_entries(entry[field], policy_count) for field in ("changes", "faults"))
        return Mutation(changed, changes, faults)

    return decode_list(decode, answer, object_count, PROGRAM)


def _decode_description(entry: Mapping[str, Any]) -> PolicyDescription:
    fields = (entry[name] for name in PolicyDescription._fields)
    return PolicyDescription(*([_check_text(text) for text in texts] if texts else () for texts in fields))


def _decode_entries(entries: Sequence[Mapping[str, Any]] | None, policy_count: int) -> list[RuleResult]:
    results = [
        RuleResult(
            policy=entry["policy"],
            rule=_check_text(entry["rule"]),
            status=entry["status"],
            message=_check_text(entry.get("message", "")),
            path=_check_text(entry.get("path", "")),
            is_enforced=entry.get("enforced", False) is True,
        )
        for entry in entries or ()
    ]
    # A status that has no meaning here would be a rule that nothing breaks.
    if any(one.status not in STATUSES or one.policy not in range(-1, policy_count) for one in results):
        raise ValueError("an unknown status or policy")
    return results


def _check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
