"""The digests of the sources of our own Go programs, as `compute_source_version` in `toolchain` computes them.

A program that was built from other source is never run. `python -m tests.servers.source_versions` writes this file.
"""

SOURCE_VERSIONS = {
    "gotemplate": "v01cf4d3909ae",
    "gatekeeper-upstream": "v3eb5797af743",
    "gatekeeper-kyverno": "ve97f59d252ad",
}
