"""The digests of the sources of our own Go programs, as `compute_source_version` in `toolchain` computes them.

A program that was built from other source is never run. `python -m tests.servers.source_versions` writes this file.
"""

SOURCE_VERSIONS = {
    "gotemplate": "v0e8c44f3066e",
    "gatekeeper-upstream": "vd4ab376cf3d2",
    "gatekeeper-kyverno": "va11ec34cc42f",
}
