"""What a repository takes from elsewhere: the requests in its files, and the pins in `gatekeeper.lock`.

A request is what the files name: a chart and a range of versions, a tag, a URL. A pin says which bytes were
found for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Location
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

# The hexadecimal part is a group.
DIGEST = compile_lazily(r"sha256:([0-9a-f]{64})")
SourceKind = Literal["helm", "oci", "file"]
# Who chooses among versions: source-controller, Helm, or Argo CD.
VersionRule = Literal["flux", "helm", "argocd"]


class SourceRequest(NamedTuple):
    """What a file of the repository names, as a key of `sources` in the lock shows it.

    Attributes:
        address: the URL, normalised, without user, password and query.
        url: the URL as the file has it, which can contain a password or token.
        chart: the name of a chart in a chart repository; else empty.
        reference: the range of versions of a chart, or the fields of `ref` of an OCIRepository.
        layer: the media type and operation of `layerSelector` of an OCIRepository.
    """

    kind: SourceKind
    address: str
    url: SecretBytes
    chart: str = ""
    reference: tuple[tuple[str, str], ...] = ()
    rule: VersionRule = "flux"
    layer: tuple[str, str] = ("", "")
    passes_credentials: bool = False

    @property
    def key(self) -> str:
        """The key in the lock; requests with the same key have the same pin."""
        words: list[str] = [self.kind, self.address, self.chart]
        for name, value in self.reference:
            text = " ".join(value.split())
            words.append(f"{name}={text}" if name else text)
        words += [f"layer={self.layer[0]}", self.layer[1]] if any(self.layer) else []
        # An exact version is the same by each rule, but what is exact depends on the rule, too.
        words += [f"({self.rule})"] if self.kind == "helm" and self.rule != "flux" else []
        return " ".join(word for word in words if word)


class RequestedSource(NamedTuple):
    """A request, and the place of a file that makes it."""

    request: SourceRequest
    location: Location


class SourcePin(NamedTuple):
    """What was found for a request.

    Attributes:
        version: the version of a chart, or the tag; empty for a file.
        url: where the bytes come from, without user, password and query.
        digest: of the bytes: `sha256:` and 64 hexadecimal digits.
        manifest: the digest of the OCI manifest; empty for others.
        size: of the bytes.
    """

    version: str
    url: str
    digest: str
    manifest: str = ""
    size: int = 0

    def encode(self) -> dict[str, Any]:
        """The entry of the lock, without empty fields."""
        return {name: value for name, value in self._asdict().items() if value}


class LockedSources(NamedTuple):
    """The pins of a lock, by the keys of requests.

    Attributes:
        is_locked: whether the lock has the key `sources`: then every source must be in it.
    """

    pins: Mapping[str, SourcePin] = MappingProxyType({})
    is_locked: bool = False


NO_SOURCES = LockedSources()
