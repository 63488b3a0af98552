"""What an ExternalSecret asks for, in one form for every API version.

Source: external-secrets `apis/externalsecrets/{v1alpha1,v1beta1,v1}/externalsecret_types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from gatekeeper.kube.objects import NamespacedName

ConversionStrategy = Literal["Default", "Unicode"]
DecodingStrategy = Literal["None", "Base64", "Base64URL", "Auto"]
CreationPolicy = Literal["Owner", "Orphan", "Merge", "None"]
DeletionPolicy = Literal["Delete", "Merge", "Retain"]
RefreshPolicy = Literal["Periodic", "OnChange", "CreatedOnce"]
TemplateTarget = Literal["Data", "Annotations", "Labels"]


class StoreRef(NamedTuple):
    """A SecretStore of the same namespace, or a ClusterSecretStore.

    Attributes:
        is_shared: whether a ClusterSecretStore signs in the same for every namespace; else with what each one has.
    """

    kind: str
    name: str
    is_shared: bool = True


class RemoteRef(NamedTuple):
    """One secret of a store, or a part of it.

    Attributes:
        property: the path into its JSON; empty for all of it.
        version: empty for the newest.
        is_metadata: whether its metadata is asked for, and not its value.
    """

    key: str
    property: str = ""
    version: str = ""
    is_metadata: bool = False
    conversion: ConversionStrategy = "Default"
    decoding: DecodingStrategy = "None"


class DataEntry(NamedTuple):
    """One key of the Secret, and what it is filled from."""

    secret_key: str
    remote: RemoteRef
    store: StoreRef


class DataFromFind(NamedTuple):
    """All secrets of a store below a path that have a name (a regular expression of Go's) or tags."""

    path: str
    name: str
    tags: Mapping[str, str]
    conversion: ConversionStrategy = "Default"
    decoding: DecodingStrategy = "None"


class KeyRewrite(NamedTuple):
    """How keys are named anew: by a regular expression, by a template, or by merging what the values hold as JSON.

    Attributes:
        kind: which of the three.
        source, target: of `Regexp`; the template is the source of `Transform`.
        into, priority, is_strict, is_conflict_allowed, is_json: of `Merge`.
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
    """Several keys at once: those that one secret holds, or all secrets that are found."""

    source: RemoteRef | DataFromFind
    rewrites: tuple[KeyRewrite, ...]
    store: StoreRef


class TemplateFrom(NamedTuple):
    """Templates that stand elsewhere: in keys of a ConfigMap or Secret, or in the ExternalSecret as a text.

    Attributes:
        kind: `ConfigMap`, `Secret` or `Literal`.
        items: keys, and whether a key's text makes keys and values, and not one value.
    """

    kind: Literal["ConfigMap", "Secret", "Literal"]
    name: str
    literal: str
    items: tuple[tuple[str, bool], ...]
    target: TemplateTarget = "Data"


class SecretTemplate(NamedTuple):
    """What the Secret is made of, where that is not just the values.

    Attributes:
        engine: `v1` or `v2`.
        is_merged: whether the values themselves are kept beside what templates make.
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
    """The Secret that is to be there."""

    name: str
    creation_policy: CreationPolicy = "Owner"
    deletion_policy: DeletionPolicy = "Retain"
    immutable: bool = False
    template: SecretTemplate | None = None


class ExternalSecretSpec(NamedTuple):
    """One ExternalSecret.

    Attributes:
        version: the API version that it was written in.
        interval: seconds between two readings; 0 for once.
        uid: of the object in the cluster; empty where it is not from there.
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

    def __str__(self) -> str:
        return f"ExternalSecret {self.namespace}/{self.name}"

    @property
    def key(self) -> NamespacedName:
        """Its namespace and name."""
        return NamespacedName(self.namespace, self.name)

    @property
    def target_key(self) -> NamespacedName:
        """Namespace and name of the Secret that it fills."""
        return NamespacedName(self.namespace, self.target.name)
