"""What a process of the Go program gets beyond its name: options and an environment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gatekeeper.named_tuple import NamedTuple


class Surroundings(NamedTuple):
    """What a process gets beyond its name: usually nothing."""

    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})


NO_SURROUNDINGS = Surroundings()
