"""One round of reconciling: each Kustomization after those that it depends on, and beside the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gatekeeper.apply.model import Asked, Done, Name, Outcome, Round
from gatekeeper.flux import reconciler
from gatekeeper.flux.model import needs

# So many Kustomizations at a time.
AT_ONCE = 8


def rounds(round_: Round, all_: Sequence[Asked], say: Callable[[Done], None]) -> list[Done]:
    """Each Kustomization after those that it depends on, and beside the others; what depends on one not ready waits."""
    done: dict[Name, Done] = {}
    left = list(all_)
    while left:
        names = {one.name for one in left}
        # In a circle nobody can be first; each is found not ready then.
        able = [one for one in left if not names & set(needs(one))] or left
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for one in pool.map(partial(_in_turn, round_, done, names), able):
                done[one.asked.name] = one
                say(one)
        left = [one for one in left if one.name not in done]
    return list(done.values())


def _in_turn(round_: Round, done: Mapping[Name, Done], left: set[Name], asked: Asked) -> Done:
    for name in needs(asked):
        if name in left or (name in done and not done[name].outcome.is_ready):
            message = f"dependency '{'/'.join(name)}' is not ready"
            return Done(asked, Outcome(False, "DependencyNotReady", message))
    late = reconciler.late(round_, asked)
    if late:
        return Done(asked, Outcome(False, "DependencyNotReady", late))
    return reconciler.reconciled(round_, asked)
