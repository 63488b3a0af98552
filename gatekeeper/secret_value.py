"""Secret values in memory: bytes that nothing prints by accident."""

from __future__ import annotations

from typing import NoReturn


class SecretBytes:
    """A secret value. Its text in messages, logs, `repr` and formats says only that it is hidden."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def reveal(self) -> bytes:
        """The value itself, where it is used."""
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
        raise TypeError("a secret value is not written anywhere")
