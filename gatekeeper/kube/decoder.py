"""Reads Kubernetes objects field by field, and rejects missing, mistyped and unknown fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from gatekeeper.errors import GatekeeperError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import FieldPath, format_path

# https://pkg.go.dev/time#ParseDuration
DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PATTERN = compile_lazily(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")


class FieldError(GatekeeperError):
    """A field that is missing, has a wrong type, or is not supported, with its path."""

    exit_code = 1

    def __init__(self, path: FieldPath, reason: str) -> None:
        super().__init__(f"`{format_path(path)}` {reason}")
        self.path = path
        self.reason = reason


class FieldReader:
    """Reads the fields of a mapping; `reject_unknown` rejects those that were not read.

    Every method raises a FieldError for a field of a wrong type.
    """

    def __init__(self, value: Any, path: FieldPath = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(path, "must be a mapping")
        self._value: Mapping[str, Any] = value
        self._path = path
        self._fields_read: set[str] = set()

    @property
    def raw(self) -> Mapping[str, Any]:
        """The mapping itself."""
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
        """Rejects a field.

        Raises:
            FieldError: always.
        """
        raise FieldError((*self._path, name), reason)

    def has_field(self, name: str) -> bool:
        """Whether a field exists, and is not null."""
        self._fields_read.add(name)
        return self._value.get(name) is not None

    def read_string(self, name: str, default: str | None = None) -> str:
        """A text; without a default it is required and must not be empty."""
        value = self._value.get(name) if self.has_field(name) else default
        if value is None or (default is None and value == ""):
            self.reject_field(name, "is missing")
        if not isinstance(value, str):
            self.reject_field(name, "must be a string")
        return value

    def read_choice(self, name: str, allowed: Sequence[str], default: str) -> Any:
        """One of several allowed texts."""
        value = self.read_string(name, default) or default
        if value not in allowed:
            self.reject_field(name, f"is `{value}`; it can be {', '.join(allowed)}")
        return value

    def read_bool(self, name: str) -> bool:
        """True or false; false by default."""
        value = self._value.get(name) if self.has_field(name) else False
        if not isinstance(value, bool):
            self.reject_field(name, "must be a boolean (true or false)")
        return value

    def read_duration(self, name: str, default: float) -> float:
        """A duration as Go writes it (`1h30m`), in seconds."""
        if not self.has_field(name):
            return default
        value = self._value[name]
        if value in ("0", 0):
            return 0.0
        parts = DURATION_PATTERN.findall(value) if isinstance(value, str) else []
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.reject_field(name, "is not a duration; write for example `1h`, `15m` or `30s`")
        return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts)

    def read_integer(self, name: str, default: int) -> int:
        """A whole number, or the default."""
        value = self._value.get(name) if self.has_field(name) else default
        if not isinstance(value, int) or isinstance(value, bool):
            self.reject_field(name, "must be an integer")
        return value

    def read_string_map(self, name: str) -> dict[str, str]:
        """A mapping of texts; empty by default.

        Raises:
            FieldError: a value is not a text.
        """
        value = self._value.get(name) if self.has_field(name) else {}
        if not isinstance(value, dict):
            self.reject_field(name, "must be a mapping")
        for key, text in value.items():
            if not isinstance(text, str):
                raise FieldError((*self._path, name, key), "must be a string")
        return value

    def read_string_list(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty by default."""
        value = self._value.get(name) if self.has_field(name) else []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.reject_field(name, "must be a list of strings")
        return tuple(value)

    def read_object(self, name: str) -> FieldReader | None:
        """A reader of an inner mapping; None if there is none."""
        return FieldReader(self._value[name], (*self._path, name)) if self.has_field(name) else None

    def read_objects(self, name: str) -> Iterator[FieldReader]:
        """A reader of each mapping in a list; none by default."""
        value = self._value.get(name) if self.has_field(name) else []
        if not isinstance(value, list):
            self.reject_field(name, "must be a list")
        for number, item in enumerate(value):
            yield FieldReader(item, (*self._path, name, number))

    def reject_unknown(self, reason: str = "is not supported") -> None:
        """Rejects fields that were not read.

        Raises:
            FieldError: there is such a field.
        """
        for name in self._value.keys() - self._fields_read:
            self.reject_field(name, reason)
