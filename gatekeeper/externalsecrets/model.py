"""The parsed form of an ExternalSecret, the same for every API version.

Source: external-secrets `apis/externalsecrets/{v1alpha1,v1beta1,v1}/externalsecret_types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gatekeeper.model import NamespacedName
from gatekeeper.named_tuple import NamedTuple

GROUP = "external-secrets.io"
ConversionStrategy = Literal["Default", "Unicode"]
DecodingStrategy = Literal["None", "Base64", "Base64URL", "Auto"]
CreationPolicy = Literal["Owner", "Orphan", "Merge", "None"]
DeletionPolicy = Literal["Delete", "Merge", "Retain"]
RefreshPolicy = Literal["Periodic", "OnChange", "CreatedOnce"]
TemplateTarget = Literal["Data", "Annotations", "Labels"]


class StoreRef(NamedTuple):
    """A SecretStore of the same namespace, or a ClusterSecretStore.

    Attributes:
        is_shared: whether a ClusterSecretStore uses the same credentials for every namespace; otherwise it uses
            credentials of the namespace of each ExternalSecret.
    """

    kind: str
    name: str
    is_shared: bool = True


class RemoteRef(NamedTuple):
    """One secret of a store, or a part of it.

    Attributes:
        property: the path of the part in the JSON of the secret; empty for the whole secret.
        version: empty for the newest version.
        is_metadata: whether the metadata is used instead of the value.
    """

    key: str
    property: str = ""
    version: str = ""
    is_metadata: bool = False
    conversion: ConversionStrategy = "Default"
    decoding: DecodingStrategy = "None"


class DataEntry(NamedTuple):
    """One key of the Secret, and the source of its value."""

    secret_key: str
    remote: RemoteRef
    store: StoreRef


class DataFromFind(NamedTuple):
    """A search for all secrets of a store below a path, by name (a Go regular expression) or tags."""

    path: str
    name: str
    tags: Mapping[str, str]
    conversion: ConversionStrategy = "Default"
    decoding: DecodingStrategy = "None"


class KeyRewrite(NamedTuple):
    """A rule that renames keys: by a regular expression, by a template, or by merging the JSON objects of the values.

    Attributes:
        source, target: for `Regexp`: pattern and replacement; for `Transform` the source is the template.
        into, priority, is_strict, is_conflict_allowed, is_json: for `Merge`; see the API of external-secrets.
    """

    kind: Literal["Regexp", "Transform", "Merge"]
    source: str = ""
    target: str = ""
    into: str = ""
    priority: tuple[str, ...] = ()
    is_strict: bool = True
    is_conflict_allowed: bool = False
    is_json: bool = False


class DataFromEntry(NamedTuple):
    """A source of several keys: the keys of one secret, or all secrets that a search finds."""

    source: RemoteRef | DataFromFind
    rewrites: tuple[KeyRewrite, ...]
    store: StoreRef


class TemplateFrom(NamedTuple):
    """Templates from the keys of a ConfigMap or Secret, or a literal template text.

    Attributes:
        items: each key, and whether its template renders a mapping of keys to values instead of one value.
    """

    kind: Literal["ConfigMap", "Secret", "Literal"]
    name: str
    literal: str
    items: tuple[tuple[str, bool], ...]
    target: TemplateTarget = "Data"


class SecretTemplate(NamedTuple):
    """The template of the Secret.

    Attributes:
        engine: `v1` or `v2`.
        is_merged: whether the Secret gets the values in addition to the rendered templates.
    """

    engine: str
    type: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    finalizers: tuple[str, ...]
    is_merged: bool
    data: Mapping[str, str]
    sources: tuple[TemplateFrom, ...]


class ExternalSecretTarget(NamedTuple):
    """The Secret that an ExternalSecret creates."""

    name: str
    creation_policy: CreationPolicy = "Owner"
    deletion_policy: DeletionPolicy = "Retain"
    immutable: bool = False
    template: SecretTemplate | None = None


class ExternalSecretSpec(NamedTuple):
    """One ExternalSecret.

    Attributes:
        version: the API version of the object.
        interval: the seconds between two reads; 0 to read once.
        uid: the uid of the object in the cluster; empty for an object from a repository.
    """

    version: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    target: ExternalSecretTarget
    refresh_policy: RefreshPolicy
    interval: float
    data: tuple[DataEntry, ...]
    data_from: tuple[DataFromEntry, ...]
    uid: str = ""

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the ExternalSecret."""
        return NamespacedName(self.namespace, self.name)

    @property
    def target_key(self) -> NamespacedName:
        """Namespace and name of its Secret."""
        return NamespacedName(self.namespace, self.target.name)

    @property
    def stores(self) -> list[StoreRef]:
        """The store of each entry, in order."""
        return [*(entry.store for entry in self.data), *(entry.store for entry in self.data_from)]

    def __str__(self) -> str:
        return f"ExternalSecret {self.namespace}/{self.name}"
