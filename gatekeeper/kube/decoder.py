"""Reading a mapping field by field: what it must be, what it may be, and nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from gatekeeper.errors import GateError
from gatekeeper.model import FieldPath, dotted

# https://pkg.go.dev/time#ParseDuration
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")


class FieldError(GateError):
    """A field that is missing, has the wrong type, or is not supported: its path, and what to do."""

    exit_code = 1

    def __init__(self, path: FieldPath, reason: str) -> None:
        super().__init__(f"`{dotted(path)}` {reason}")
        self.path = path
        self.reason = reason


class Fields:
    """A mapping that is read. What nobody asked for when it ends is refused by name."""

    def __init__(self, value: Any, path: FieldPath = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(path, "must be a mapping")
        self._value: Mapping[str, Any] = value
        self._path = path
        self._read: set[str] = set()

    @property
    def raw(self) -> Mapping[str, Any]:
        """As it stands."""
        return self._value

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Refuses a field."""
        raise FieldError((*self._path, name), reason)

    def has(self, name: str) -> bool:
        """Whether a field is there, and not null."""
        self._read.add(name)
        return self._value.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without a default it must be there and hold something."""
        value = self._value.get(name) if self.has(name) else default
        if value is None or (default is None and value == ""):
            self.refuse(name, "is missing")
        if not isinstance(value, str):
            self.refuse(name, "must be a text")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> Any:
        """One of several words."""
        value = self.text(name, default) or default
        if value not in allowed:
            self.refuse(name, f"is `{value}`; it can be {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is not there."""
        value = self._value.get(name) if self.has(name) else False
        if not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return value

    def seconds(self, name: str, default: float) -> float:
        """A duration as Go writes it (`1h30m`), in seconds."""
        if not self.has(name):
            return default
        value = self._value[name]
        if value in ("0", 0):
            return 0.0
        found = DURATION.findall(value) if isinstance(value, str) else []
        if not found or "".join(number + unit for number, unit in found) != value:
            self.refuse(name, "is no duration; write `1h`, `15m` or `30s`")
        return sum(float(number) * UNITS[unit] for number, unit in found)

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self._value.get(name) if self.has(name) else default
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(name, "must be a whole number")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """A mapping of texts; empty where it is not there."""
        value = self._value.get(name) if self.has(name) else {}
        if not isinstance(value, dict):
            self.refuse(name, "must be a mapping")
        for key, held in value.items():
            if not isinstance(held, str):
                raise FieldError((*self._path, name, key), "must be a text")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not there."""
        value = self._value.get(name) if self.has(name) else []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.refuse(name, "must be a list of texts")
        return tuple(value)

    def inner(self, name: str) -> Fields | None:
        """A mapping within; None where it is not there."""
        return Fields(self._value[name], (*self._path, name)) if self.has(name) else None

    def each(self, name: str) -> Iterator[Fields]:
        """The mappings in a list; none where it is not there."""
        value = self._value.get(name) if self.has(name) else []
        if not isinstance(value, list):
            self.refuse(name, "must be a list")
        for number, one in enumerate(value):
            yield Fields(one, (*self._path, name, number))

    def end(self, why: str = "is not supported") -> None:
        """Refuses all fields that were not read.

        Raises:
            FieldError: there is one.
        """
        for name in self._value.keys() - self._read:
            self.refuse(name, why)
