"""One verdict from several machines: each judges its share, and `gatekeeper merge` joins what they say.

Every run renders the whole repository, because what something is built from, and what it names, may lie anywhere; but
it asks the engines of its share only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.errors import UsageError
from gatekeeper.gate.waivers import UNUSED_WAIVER_RULE
from gatekeeper.model import Verdict


class Shard(NamedTuple):
    """A share of a repository: its number, from 1, of how many; None for all of it."""

    position: tuple[int, int] | None

    def contains(self, file: str) -> bool:
        """Whether a file, and all that comes of it, is in this share."""
        return (
            self.position is None
            or zlib.crc32(file.encode("utf-8", "surrogateescape")) % self.position[1] + 1 == self.position[0]
        )


WHOLE_REPOSITORY = Shard(None)


def parse(text: str) -> Shard:
    """A share as it is written, `2/5`.

    Raises:
        UsageError: it is written in another way.
    """
    number, _, of = text.partition("/")
    if not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
        raise UsageError(f"--shard {text}: must be I/N, such as 1/4 for the first of four")
    return Shard((int(number), int(of)))


def merge_verdicts(named_verdicts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """The verdict of the whole, from those of all its shares.

    Args:
        named_verdicts: each with a name for messages.

    Raises:
        UsageError: a share is missing or there twice, or they are not of the same run.
    """
    shares: dict[int, str] = {}
    [(first_name, first), *_] = named_verdicts
    for name, verdict in named_verdicts:
        if verdict.shard is None or first.shard is None:
            raise UsageError(
                f"{name}: is no report of a share; make it with `gatekeeper check --shard I/N --format json`"
            )
        for what, ours, theirs in (
            ("number of shares", verdict.shard[1], first.shard[1]),
            ("revision", verdict.revision, first.revision),
            ("engine", verdict.engine, first.engine),
            ("policies", verdict.policy_digest, first.policy_digest),
        ):
            if ours != theirs:
                raise UsageError(f"{name}: has another {what} than {first_name}; judge all shares of one commit alike")
        if verdict.shard[0] in shares:
            raise UsageError(f"{name}: is share {verdict.shard[0]}, as is {shares[verdict.shard[0]]}")
        shares[verdict.shard[0]] = name
    of = first.shard[1] if first.shard else 0
    missing = [str(number) for number in range(1, of + 1) if number not in shares]
    if missing:
        raise UsageError(f"share {', '.join(missing)} of {of} is missing: a verdict on a part is none on the whole")
    merged = first.merge(*(verdict for _, verdict in named_verdicts[1:]))
    unused_everywhere = set.intersection(
        *(
            {finding for finding in verdict.findings if finding.rule == UNUSED_WAIVER_RULE}
            for _, verdict in named_verdicts
        )
    )
    # A waiver that silences nothing in one share may silence something in another.
    findings = tuple(
        finding for finding in merged.findings if finding.rule != UNUSED_WAIVER_RULE or finding in unused_everywhere
    )
    return merged._replace(findings=findings, shard=None, is_cacheable=False)
