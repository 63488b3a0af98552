"""The libraries in our own Go programs, with their versions.

A program says its version when it starts, and that is a digest of its source with `go.mod`: a program of the right
version has the libraries of the `go.mod` of this package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN, PACKAGE
from gatekeeper.upstream.worker import UpstreamWorker

# The libraries whose version decides a verdict, by program.
DECIDING_LIBRARIES: Mapping[str, Mapping[str, str]] = {
    "gatekeeper-upstream": {
        "sigs.k8s.io/kustomize/api": "kustomize/api",
        "helm.sh/helm/v3": "helm",
        "k8s.io/kubernetes": "kubernetes",
        "k8s.io/apiserver": "apiserver",
        "github.com/fluxcd/pkg/envsubst": "fluxcd/envsubst",
        "github.com/argoproj/argo-cd/v3": "argo-cd",
        "github.com/hashicorp/hcl/v2": "hashicorp/hcl",
    },
    "gatekeeper-kyverno": {"github.com/kyverno/kyverno": "kyverno", "k8s.io/apiserver": "apiserver"},
}
REQUIREMENT = compile_lazily(r"^(?:require)?\s*(\S+) (v\S+)$", re.MULTILINE)
REPLACEMENT = compile_lazily(r"^(?:replace)?\s*(\S+)(?: v\S+)? => (\S+) (v\S+)$", re.MULTILINE)


def start_program(name: str) -> dict[str, str]:
    """Starts a program of our own, ends it, and returns the versions of its libraries.

    Raises:
        ToolError: it is missing, cannot be started, or has another version.
    """
    tool = DEFAULT_TOOLCHAIN.get_tool(name)
    UpstreamWorker(DEFAULT_TOOLCHAIN.find(name), tool.version, "", name=name).close()
    text = (PACKAGE / tool.source_folder / "go.mod").read_text(encoding="utf-8")
    return {shown: version for path, shown in DECIDING_LIBRARIES[name].items() if (version := find_version(text, path))}


def find_version(text: str, path: str) -> str:
    """The version of a module in the text of a `go.mod`; empty if it does not require the module."""
    versions = dict(REQUIREMENT.findall(text))
    if path not in versions:
        return ""
    replaced = {old: version for old, _, version in REPLACEMENT.findall(text)}
    return str(replaced.get(path, versions[path]))
