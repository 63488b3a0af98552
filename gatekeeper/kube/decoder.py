"""Reading a mapping field by field: what it must be, what it may be, and nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from gatekeeper.errors import GateError
from gatekeeper.model import FieldPath, format_path

# https://pkg.go.dev/time#ParseDuration
DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PATTERN = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")


class FieldError(GateError):
    """A field that is missing, has the wrong type, or is not supported: its path, and what to do."""

    exit_code = 1

    def __init__(self, path: FieldPath, reason: str) -> None:
        super().__init__(f"`{format_path(path)}` {reason}")
        self.path = path
        self.reason = reason


class FieldReader:
    """A mapping that is read. What nobody asked for when it ends is refused by name."""

    def __init__(self, value: Any, path: FieldPath = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(path, "must be a mapping")
        self._value: Mapping[str, Any] = value
        self._path = path
        self._fields_read: set[str] = set()

    @property
    def raw(self) -> Mapping[str, Any]:
        """As it stands."""
        return self._value

    def read_head(self, group: str, versions: Sequence[str], kind: str) -> str:
        """Checks `apiVersion` and `kind` of a Kubernetes object; its version.

        Raises:
            FieldError: it is an object of something else.
        """
        actual_group, _, version = self.read_string("apiVersion").partition("/")
        if actual_group != group or version not in versions or self.read_string("kind") != kind:
            raise FieldError(("apiVersion",), f"is not a {kind} of {group}/{', '.join(versions)}")
        return version

    def reject_field(self, name: str, reason: str) -> NoReturn:
        """Refuses a field."""
        raise FieldError((*self._path, name), reason)

    def has_field(self, name: str) -> bool:
        """Whether a field is there, and not null."""
        self._fields_read.add(name)
        return self._value.get(name) is not None

    def read_string(self, name: str, default: str | None = None) -> str:
        """A text; without a default it must be there and hold something."""
        value = self._value.get(name) if self.has_field(name) else default
        if value is None or (default is None and value == ""):
            self.reject_field(name, "is missing")
        if not isinstance(value, str):
            self.reject_field(name, "must be a text")
        return value

    def read_choice(self, name: str, allowed: Sequence[str], default: str) -> Any:
        """One of several words."""
        value = self.read_string(name, default) or default
        if value not in allowed:
            self.reject_field(name, f"is `{value}`; it can be {', '.join(allowed)}")
        return value

    def read_bool(self, name: str) -> bool:
        """True or false; false where it is not there."""
        value = self._value.get(name) if self.has_field(name) else False
        if not isinstance(value, bool):
            self.reject_field(name, "must be true or false")
        return value

    def read_duration(self, name: str, default: float) -> float:
        """A duration as Go writes it (`1h30m`), in seconds."""
        if not self.has_field(name):
            return default
        value = self._value[name]
        if value in ("0", 0):
            return 0.0
        found = DURATION_PATTERN.findall(value) if isinstance(value, str) else []
        if not found or "".join(number + unit for number, unit in found) != value:
            self.reject_field(name, "is no duration; write `1h`, `15m` or `30s`")
        return sum(float(number) * DURATION_UNITS[unit] for number, unit in found)

    def read_integer(self, name: str, default: int) -> int:
        """A whole number."""
        value = self._value.get(name) if self.has_field(name) else default
        if not isinstance(value, int) or isinstance(value, bool):
            self.reject_field(name, "must be a whole number")
        return value

    def read_string_map(self, name: str) -> dict[str, str]:
        """A mapping of texts; empty where it is not there."""
        value = self._value.get(name) if self.has_field(name) else {}
        if not isinstance(value, dict):
            self.reject_field(name, "must be a mapping")
        for key, held in value.items():
            if not isinstance(held, str):
                raise FieldError((*self._path, name, key), "must be a text")
        return value

    def read_string_list(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not there."""
        value = self._value.get(name) if self.has_field(name) else []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.reject_field(name, "must be a list of texts")
        return tuple(value)

    def read_object(self, name: str) -> FieldReader | None:
        """A mapping within; None where it is not there."""
        return FieldReader(self._value[name], (*self._path, name)) if self.has_field(name) else None

    def read_objects(self, name: str) -> Iterator[FieldReader]:
        """The mappings in a list; none where it is not there."""
        value = self._value.get(name) if self.has_field(name) else []
        if not isinstance(value, list):
            self.reject_field(name, "must be a list")
        for number, one in enumerate(value):
            yield FieldReader(one, (*self._path, name, number))

    def reject_unknown(self, reason: str = "is not supported") -> None:
        """Refuses all fields that were not read.

        Raises:
            FieldError: there is one.
        """
        for name in self._value.keys() - self._fields_read:
            self.reject_field(name, reason)
