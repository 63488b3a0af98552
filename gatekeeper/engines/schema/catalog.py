"""Finds the schema of each kind: from Kubernetes, from CRDs of the repository and the config, or built in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gatekeeper.engines.schema import crds
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.errors import UsageError
from gatekeeper.host.cache import Cache

if TYPE_CHECKING:
    import jsonschema_rs
try:
    from gatekeeper._native import Schema
except ImportError:  # no Rust compiler at install time: jsonschema-rs validates one object at a time
    Schema = None  # type: ignore[assignment,misc]

BUILT_IN_FOLDER = Path(__file__).parent.parent.parent / "schemas"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
DROPPED_KEYWORDS = ("description", "format", "default", "$schema", "$id")

SchemaKey = tuple[str, str]


def _find_package() -> Path:
    package = PathFinder.find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        raise UsageError("the package kubernetes-validate is not installed; reinstall gatekeeper")
    return Path(package.origin).parent / "kubernetes-json-schema"


class SchemaCatalog:
    """Schemas by (apiVersion, kind), compiled on first use.

    Attributes:
        kubernetes_version: the version of Kubernetes, such as `1.34`.
    """

    def __init__(
        self,
        kubernetes_version: str,
        custom_kinds: Iterable[CustomKind] = (),
        load_successors: Callable[[], Mapping[SchemaKey, str]] = dict,
        find_located: Callable[[str, str], dict[str, Any] | None] = lambda api_version, kind: None,
        *,
        cache: Cache | None = None,
    ) -> None:
        self.kubernetes_version = kubernetes_version
        self._custom_kinds: dict[SchemaKey, CustomKind] = {}
        # Read only for a kind without any other schema.
        self._load_successors = functools.cache(load_successors)
        self._find_located = find_located
        for definition in custom_kinds:
            self._custom_kinds.setdefault((definition.api_version, definition.kind), definition)
        self._cache = cache
        self._definitions_file = _find_kubernetes_definitions(kubernetes_version)
        self._validators: dict[SchemaKey, jsonschema_rs.Draft202012Validator] = {}
        self._schemas: dict[SchemaKey, bytes] = {}
        self._loaded_groups: set[str] = set()
        self._stripped: dict[str, tuple[Any, set[str]]] = {}

    @cached_property
    def _definitions(self) -> dict[str, Any]:
        definitions: dict[str, Any] = orjson.loads(self._definitions_file.read_bytes())["$defs"]
        return definitions

    @cached_property
    def _kinds(self) -> dict[SchemaKey, str]:
        return _index_kinds(self._definitions)

    def find_custom_kind(self, key: SchemaKey) -> CustomKind | None:
        """The custom kind, from the repository or else from the built-in set."""
        group = key[0].rpartition("/")[0]
        if key not in self._custom_kinds and group:
            self._load_group(group)
        return self._custom_kinds.get(key)

    def list_custom_kinds(self, group: str) -> list[CustomKind]:
        """The custom kinds of an API group, with their versions."""
        self._load_group(group)
        return [kind for kind in self._custom_kinds.values() if kind.group == group]

    def _load_group(self, group: str) -> None:
        if group not in self._loaded_groups:
            self._loaded_groups.add(group)
            for definition in load_built_in_kinds(group):
                self._custom_kinds.setdefault((definition.api_version, definition.kind), definition)

    def has_schema(self, key: SchemaKey) -> bool:
        """Whether objects of the kind were validated by a schema."""
        return key in self._schemas

    def find_invalid(self, key: SchemaKey, objects: Sequence[bytes], jobs: int) -> list[int] | None:
        """Return the indices of the objects (JSON) that the schema of their kind rejects; None if it has no schema.

        Raises:
            UsageError: the kind's schema is itself broken.
        """
        try:
            schema = self._encode_schema(key)
            if schema is None:
                return None
            self._schemas[key] = schema
            if Schema is not None:
                return Schema(schema).refused(objects, jobs)
            validator = self._build_validator(orjson.loads(schema))
        except KeyError as error:
            what = f"refers to `{error.args[0]}`, which does not exist"
            raise UsageError(f"the schema of {key[1]} ({key[0]}) {what}") from error
        except (ValueError, TypeError) as error:
            raise UsageError(f"the schema of {key[1]} ({key[0]}) cannot be used: {_first_line(error)}") from error
        return [index for index, json in enumerate(objects) if not validator.is_valid(orjson.loads(json))]

    def _encode_schema(self, key: SchemaKey) -> bytes | None:
        """The schema of a kind as JSON; None if the kind has no schema.

        Raises:
            KeyError: it refers to a definition that does not exist.
        """
        # The definitions of all kinds take longer to read than a few objects to check. A kind of Kubernetes has its own
        # schema whatever the repository defines, so that nothing else is part of the key.
        entry = ""
        if self._cache:
            entry = self._cache.derive_key([b"schema", ascii((self.kubernetes_version, key)).encode()])
            cached = self._cache.read_entry(entry)
            if cached is not None:
                return cached
        schema = self.find_schema(key)
        content = None if schema is None else orjson.dumps(schema)
        if self._cache and content is not None and key in self._kinds:
            self._cache.write_entry(entry, content)
        return content

    def list_errors(self, key: SchemaKey, value: Any) -> Iterator[Any]:
        """The errors of jsonschema-rs for a value that `find_invalid` reported."""
        if key not in self._validators:
            self._validators[key] = self._build_validator(orjson.loads(self._schemas[key]))
        return iter(self._validators[key].iter_errors(value))

    def _build_validator(self, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
        # Imported only if there are errors: the import takes as long as the validation of thousands of objects.
        import jsonschema_rs

        try:
            return jsonschema_rs.Draft202012Validator(schema)
        except jsonschema_rs.ReferencingError as error:
            raise ValueError(str(error)) from error

    def list_known_fields(self, key: SchemaKey, schema_path: Sequence[str | int]) -> list[str]:
        """The fields that the schema defines at the place where validation failed."""
        schema: Any = orjson.loads(self._schemas.get(key, b"{}"))
        here = schema
        for step in schema_path[:-1]:
            try:
                here = schema["$defs"][here["$ref"].rpartition("/")[2]] if step == "$ref" else here[step]
            except (KeyError, TypeError, IndexError):
                return []
        return list(here.get("properties", ()))

    def find_schema(self, key: SchemaKey) -> dict[str, Any] | None:
        """The JSON Schema of a kind with all definitions that it refers to; None if the kind has no schema.

        Raises:
            KeyError: it refers to a definition that does not exist.
        """
        name = self._kinds.get(key)
        if name is not None:
            return self._attach_definitions({"$ref": f"#/$defs/{name}"}, name)
        definition = self.find_custom_kind(key)
        if definition is None or definition.schema is None:
            located = self._find_located(*key)
            return self._find_successor_schema(key) if located is None else _strip_annotations(located)
        strict = crds.build_strict_schema(definition.schema, {"$ref": f"#/$defs/{OBJECT_META}"})
        return self._attach_definitions(strict, OBJECT_META)

    def _find_successor_schema(self, key: SchemaKey) -> dict[str, Any] | None:
        """Validate a removed API version by the schema of its replacement, which the resource must change to."""
        version = self._load_successors().get(key)
        schema = self.find_schema((version, key[1])) if version and version != key[0] else None
        if schema is None:
            return None
        name = schema.get("$ref", "").rpartition("/")[2]
        resolved = schema["$defs"][name] if name else schema
        properties = {**resolved["properties"], "apiVersion": {"type": "string"}}
        return {**resolved, "properties": properties, "$defs": schema["$defs"]}

    def _attach_definitions(self, schema: dict[str, Any], reference: str) -> dict[str, Any]:
        """The schema with only the definitions that it refers to: compiling all takes a hundred times longer.

        Args:
            reference: the only definition that the schema itself refers to.
        """
        reached: dict[str, Any] = {}
        waiting = {reference}
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached[name], references = self._strip_definition(name)
                waiting |= references
        return {**schema, "$defs": reached}

    def _strip_definition(self, name: str) -> tuple[Any, set[str]]:
        """A definition without annotations, and the definitions that it refers to; many kinds have the same ones."""
        if name not in self._stripped:
            stripped = _strip_annotations(self._definitions[name])
            self._stripped[name] = stripped, _find_references(stripped)
        return self._stripped[name]


def list_kubernetes_versions() -> list[str]:
    """The Kubernetes versions (`1.31`) with schemas, oldest first."""
    names = (path.name for path in _find_package().glob("v*-local-strict"))
    return sorted((name[1:].split(".0-")[0] for name in names), key=lambda text: tuple(map(int, text.split("."))))


def _find_kubernetes_definitions(version: str) -> Path:
    """The file with the schemas of a version of Kubernetes.

    Raises:
        UsageError: no schemas of this version are installed.
    """
    folder = _find_package() / f"v{'.'.join(version.removeprefix('v').split('.')[:2])}.0-local-strict"
    file = folder / "_definitions.json"
    if not file.is_file():
        known = list_kubernetes_versions()
        raise UsageError(f"no schemas for Kubernetes {version}; `kubernetes` can be {known[0]} to {known[-1]}")
    return file


def _index_kinds(definitions: dict[str, Any]) -> dict[SchemaKey, str]:
    kinds: dict[SchemaKey, str] = {}
    for name, schema in definitions.items():
        for named in schema.get("x-kubernetes-group-version-kind", ()):
            group, version = named.get("group", ""), named["version"]
            kinds.setdefault((f"{group}/{version}" if group else version, named["kind"]), name)
    return kinds


# Several engines read the same groups. The largest file has 0.6 MB, and a repository names any number of groups.
@lru_cache(maxsize=64)
def load_built_in_kinds(group: str) -> tuple[CustomKind, ...]:
    """The kinds of an API group for which Gatekeeper brings a schema; empty for other groups."""
    if group not in _list_built_in_groups():
        return ()
    content = (BUILT_IN_FOLDER / f"{group}.json").read_bytes()
    return tuple(CustomKind(**entry) for entry in orjson.loads(content)["definitions"])


@functools.cache
def _list_built_in_groups() -> frozenset[str]:
    """The API groups of the files that there are: the group of an object can be no file name at all."""
    return frozenset(path.stem for path in BUILT_IN_FOLDER.iterdir() if path.suffix == ".json")


def _strip_annotations(schema: Any) -> Any:
    """A schema without annotations; property names are kept, because a property may have any name."""
    if isinstance(schema, list):
        return [_strip_annotations(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for name, part in schema.items():
        if name == "properties":
            out[name] = {field: _strip_annotations(inner) for field, inner in part.items()}
        elif name not in DROPPED_KEYWORDS and not name.startswith("x-kubernetes"):
            out[name] = _strip_annotations(part)
    return out


def _find_references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_find_references, schema))
    if not isinstance(schema, dict):
        return set()
    references = set().union(*(_find_references(part) for part in schema.values()))
    target = schema.get("$ref")
    if isinstance(target, str):
        references.add(target.rpartition("/")[2])
    return references


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
