"""Shards of a repository: several machines check one shard each, and `gatekeeper merge` joins their verdicts.

Every run renders the whole repository, because the inputs of a build and the targets of a reference can be in any file;
but its engines check only the resources of its shard.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from gatekeeper.errors import UsageError
from gatekeeper.gate import finding_groups
from gatekeeper.gate.waivers import UNUSED_WAIVER_RULE
from gatekeeper.model import Verdict
from gatekeeper.named_tuple import NamedTuple


class Shard(NamedTuple):
    """A shard of a repository.

    Attributes:
        position: its number, from 1, and the number of shards; None for the whole repository.
    """

    position: tuple[int, int] | None

    def contains(self, file: str) -> bool:
        """Whether a file, and everything that is rendered from it, is in this shard."""
        return (
            self.position is None
            or zlib.crc32(file.encode("utf-8", "surrogateescape")) % self.position[1] + 1 == self.position[0]
        )


WHOLE_REPOSITORY = Shard(None)


def parse(text: str) -> Shard:
    """Parses a shard such as `2/5`.

    Raises:
        UsageError: the text is not of that form.
    """
    number, _, of = text.partition("/")
    if not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
        raise UsageError(f"--shard {text}: must be I/N, such as 1/4 for the first of four")
    return Shard((int(number), int(of)))


def merge_verdicts(named_verdicts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Merges the verdicts on all shards of a repository into one.

    Args:
        named_verdicts: each verdict with a name for messages.

    Raises:
        UsageError: a shard is missing or given twice, or they differ in commit, engine or policies.
    """
    shards: dict[int, str] = {}
    [(first_name, first), *_] = named_verdicts
    for name, verdict in named_verdicts:
        if verdict.shard is None or first.shard is None:
            raise UsageError(
                f"{name}: not the report of a shard; create it with `gatekeeper check --shard I/N --format json`"
            )
        for what, ours, theirs in (
            ("number of shards", verdict.shard[1], first.shard[1]),
            ("revision", verdict.revision, first.revision),
            ("engine", verdict.engine, first.engine),
            ("digest of the policies", verdict.policy_digest, first.policy_digest),
        ):
            if ours != theirs:
                message = f"{name}: {what} differs from that in {first_name}"
                raise UsageError(f"{message}; check all shards at one commit with the same options")
        if verdict.shard[0] in shards:
            raise UsageError(
                f"{name}: shard {verdict.shard[0]} is also in {shards[verdict.shard[0]]}; pass each shard once"
            )
        shards[verdict.shard[0]] = name
    of = first.shard[1] if first.shard else 0
    missing = [str(number) for number in range(1, of + 1) if number not in shards]
    if missing:
        raise UsageError(
            f"shard {', '.join(missing)} of {of} is missing: a verdict needs all shards; add their reports"
        )
    merged = first.merge(*(verdict for _, verdict in named_verdicts[1:]))
    unused_everywhere = set.intersection(
        *(
            {finding for finding in verdict.findings if finding.rule == UNUSED_WAIVER_RULE}
            for _, verdict in named_verdicts
        )
    )
    # A waiver that silences nothing in one shard may silence something in another.
    findings = tuple(
        finding for finding in merged.findings if finding.rule != UNUSED_WAIVER_RULE or finding in unused_everywhere
    )
    findings = finding_groups.regroup_findings(findings)
    return merged._replace(findings=findings, shard=None, is_cacheable=False)
