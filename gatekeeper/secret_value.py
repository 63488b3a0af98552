"""Secret values in memory: bytes that are never printed by accident."""

from __future__ import annotations

from typing import NoReturn


class SecretBytes:
    """A secret value. In messages, logs, `repr` and formatted text it is `(hidden)`."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def reveal(self) -> bytes:
        """The value itself; call this only where the value is used."""
        return self._content

    def __repr__(self) -> str:
        return "(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and other._content == self._content

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._content)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value cannot be pickled")
