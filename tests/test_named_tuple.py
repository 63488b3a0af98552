"""Named tuples behave as those of `typing`, whether or not an object was built before."""

from __future__ import annotations

import copy
import pickle
import threading
import types
import typing
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.named_tuple import NamedTuple

Item = TypeVar("Item")


class Place(NamedTuple):
    """A class with all that a body can have."""

    file: str
    line: int = 1
    column: int = 2

    @property
    def shown(self) -> str:
        """The place as text."""
        return f"{self.file}:{self.line}"


class StandardPlace(typing.NamedTuple):
    """The same class, as the standard library defines it."""

    file: str
    line: int = 1
    column: int = 2

    @property
    def shown(self) -> str:
        """The place as text."""
        return f"{self.file}:{self.line}"


class Pair(NamedTuple, Generic[Item]):
    """A generic class."""

    first: Item
    second: Item


class Empty(NamedTuple):
    """A class without fields."""


class NarrowPlace(Place):
    """A subclass with a constructor of its own."""

    def __new__(cls, file: str) -> NarrowPlace:
        return super().__new__(cls, file, 7)


def define_pair() -> tuple[Any, Any]:
    """Two new classes of one name, of which no object was built."""
    bases: tuple[Any, Any] = (NamedTuple, typing.NamedTuple)
    fresh, standard = [types.new_class("Place", (base,), {}, lambda names: names.update(_body())) for base in bases]
    return fresh, standard


def _body() -> dict[str, Any]:
    annotations = {"file": str, "line": int, "column": int}
    return {"__module__": __name__, "__annotations__": annotations, "line": 1, "column": 2}


def describe(call: Callable[[], Any]) -> object:
    """What a call returns, or the type of its error."""
    try:
        return repr(call())
    except Exception as error:
        return type(error)


@given(
    st.lists(st.integers(), max_size=5), st.dictionaries(st.sampled_from(["file", "line", "column", "x"]), st.text())
)
def test_objects_are_built_and_changed_as_by_the_standard_library(values: list[int], named: dict[str, str]) -> None:
    fresh, standard = define_pair()
    for _ in range(2):
        assert describe(lambda: fresh(*values, **named)) == describe(lambda: standard(*values, **named))
        assert describe(lambda: fresh._make(values)) == describe(lambda: standard._make(values))
    assert describe(lambda: fresh("a")._replace(**named)) == describe(lambda: standard("a")._replace(**named))
    assert describe(lambda: fresh("a")._asdict()) == describe(lambda: standard("a")._asdict())


def test_class_has_what_a_class_of_the_standard_library_has() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__slots__"):
        assert getattr(Place, name) == getattr(StandardPlace, name)
    assert {type(Place), type(StandardPlace)} == {type}
    assert [base.__name__ for base in Place.__mro__] == ["Place", "tuple", "object"]
    assert typing.get_type_hints(Place) == typing.get_type_hints(StandardPlace)
    place = Place("a.yaml", column=9)
    assert (place.shown, place, hash(place)) == ("a.yaml:1", ("a.yaml", 1, 9), hash(("a.yaml", 1, 9)))
    assert Place.__new__.__qualname__ == "Place.__new__"
    with pytest.raises(AttributeError):
        place.line = 4  # type: ignore[misc]
    with pytest.raises(AttributeError):
        place.other = 4  # type: ignore[attr-defined]
    match place:
        case Place(file, line):
            assert (file, line) == ("a.yaml", 1)


def test_copies_and_pickles_are_equal_and_of_the_same_class() -> None:
    place = Place("a.yaml")
    for other in (copy.copy(place), copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert other == place and type(other) is Place


def test_generic_empty_and_derived_classes_build_their_own_objects() -> None:
    assert Pair[int](1, 2) == Pair(1, 2) == (1, 2)
    assert Empty() == () and repr(Empty()) == "Empty()"
    narrow = NarrowPlace("b.yaml")
    assert type(narrow) is NarrowPlace and narrow.line == 7
    assert NarrowPlace("c.yaml").file == "c.yaml" and Place("d.yaml").line == 1


def test_first_objects_can_be_built_by_several_threads() -> None:
    fresh, _ = define_pair()
    start, built = threading.Barrier(4), list[Any]()

    def build() -> None:
        start.wait()
        built.append(fresh("a"))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [("a", 1, 2)] * 4


def test_field_without_a_default_after_one_with_a_default_is_refused() -> None:
    body = {"__annotations__": {"first": int, "second": int}, "first": 1}
    with pytest.raises(TypeError, match="a field without a default follows one with a default"):
        types.new_class("Odd", (NamedTuple,), {}, lambda names: names.update(body))


class Key(NamedTuple):
    """A class whose text hides a field."""

    name: str
    secret: str

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


def test_a_text_of_a_class_of_its_own_stays() -> None:
    assert f"{Key('a', 'hidden-word')!r} {Key('a', 'hidden-word')}" == "Key('a') Key('a')"
