"""Builds the programs that tests run against, so that no two tests build the same."""

from __future__ import annotations

from tests.servers import BENCHES, PROGRAMS, built

for name in PROGRAMS:
    if name not in BENCHES:
        built(name)
