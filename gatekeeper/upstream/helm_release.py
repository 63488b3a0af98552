"""What Helm renders: the files of a chart, and the name, namespace and values of a release."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from gatekeeper.named_tuple import NamedTuple


class ChartFiles(NamedTuple):
    """The files of a chart's folder as they are sent, or else its archive, and a digest of them."""

    digest: str
    files: Sequence[dict[str, Any]]
    archive: bytes = b""


class ValuesFile(NamedTuple):
    """The content of a file of values, and its name in messages."""

    name: str
    content: bytes


class ValuesReference(NamedTuple):
    """The content of an entry of `valuesFrom` of a HelmRelease, and the name of its object for messages."""

    name: str
    content: bytes
    target_path: str = ""
    is_literal: bool = False

    def __repr__(self) -> str:
        # The content can be that of a Secret.
        return f"ValuesReference({self.name!r}, target_path={self.target_path!r})"


class FluxValues(NamedTuple):
    """The values of a HelmRelease of Flux, which helm-controller merges in its own way.

    Attributes:
        chart_files: files of the chart that replace its `values.yaml`.
        inline: `spec.values` as JSON; empty if there are none.
    """

    chart_files: tuple[str, ...] = ()
    ignores_missing: bool = False
    references: tuple[ValuesReference, ...] = ()
    inline: bytes = b""

    def encode(self) -> dict[str, Any]:
        """The payload of a call."""
        return {
            "chartFiles": list(self.chart_files),
            "ignoreMissing": self.ignores_missing,
            "references": [
                {
                    "name": one.name,
                    "data": base64.b64encode(one.content).decode("ascii"),
                    "targetPath": one.target_path,
                    "literal": one.is_literal,
                }
                for one in self.references
            ],
            "inline": base64.b64encode(self.inline).decode("ascii"),
        }


class HelmRelease(NamedTuple):
    """The arguments of `helm template`.

    Attributes:
        kubernetes: the version of Kubernetes (`1.34`) in the capabilities.
        values_files: the last one has the highest precedence.
        flux: values that come after those of the files.
    """

    name: str
    namespace: str
    kubernetes: str
    values_files: Sequence[ValuesFile] = ()
    api_versions: Sequence[str] = ()
    set_values: Sequence[str] = ()
    includes_crds: bool = True
    skips_tests: bool = True
    is_upgrade: bool = False
    flux: FluxValues | None = None
