"""Named tuples that are cheap to define: `typing.NamedTuple` compiles code for each class, used or not.

A short run defines hundreds of such classes and builds objects of few. A class of this module compiles its constructor
when it builds its first object; everything else is shared by all classes. Otherwise they are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    # The accessor of a field that `collections.namedtuple` uses, too.
    from _collections import _tuplegetter

    class _NamedTupleDefinition(type):
        """Builds a class of tuples from a class body with annotated fields."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace[field] for field in fields if field in namespace}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one with a default")
            namespace.update((field, _tuplegetter(index, None)) for index, field in enumerate(fields))
            own = {
                "__slots__": (),
                "_fields": fields,
                "_field_defaults": defaults,
                "__match_args__": fields,
                "__new__": _build_first,
                "__repr__": _represent,
                "__getnewargs__": _get_values,
                "_make": _make,
                "_replace": _replace,
                "_asdict": _as_dict,
            }
            # Such as a `__repr__` that hides a secret.
            namespace.update((key, value) for key, value in own.items() if key not in namespace)
            # Not of this metaclass: a class of named tuples is an ordinary class.
            others = tuple(base for base in bases if base is not NamedTuple)
            return type(name, (tuple, *others), namespace)

    class NamedTuple(metaclass=_NamedTupleDefinition):
        """The base class of named tuples; see `typing.NamedTuple`."""

    def _build_first(cls, /, *values, **named):
        """Compiles the constructor of a class, and builds its first object."""
        owner = next(base for base in cls.__mro__ if "_fields" in base.__dict__)
        names = ", ".join(owner._fields)
        code = f"lambda _class, {names}: _new(_class, ({names}{',' if names else ''}))"
        constructor = eval(code, {"_new": tuple.__new__, "__builtins__": {}})
        constructor.__defaults__ = tuple(owner._field_defaults.values())
        constructor.__name__, constructor.__qualname__ = "__new__", f"{owner.__name__}.__new__"
        owner.__new__ = staticmethod(constructor)
        return constructor(cls, *values, **named)

    @classmethod
    def _make(cls, values):
        result = tuple.__new__(cls, values)
        if len(result) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(result)}")
        return result

    def _replace(self, /, **named):
        result = self._make(map(named.pop, self._fields, self))
        if named:
            raise ValueError(f"Got unexpected field names: {list(named)!r}")
        return result

    def _get_values(self):
        return tuple(self)

    def _as_dict(self):
        return dict(zip(self._fields, self, strict=True))

    def _represent(self):
        words = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"{self.__class__.__name__}({words})"
