# METADATA
# title: Charts have a pinned version
# description: |
#   Without a version, or with `*`, a new chart release is deployed without a commit and without a review.
# custom:
#   severity: warning
#   profile: default
#   kinds: [HelmRelease]
#   remedy: set `spec.chart.spec.version` to one version
#   standards: ['Flux: HelmRelease chart version']
package gatekeeper.gitops.chart_version

import rego.v1

deny contains {"msg": "the chart version is not pinned: every new release is deployed", "field": ["spec", "chart", "spec", "version"]} if {
	object.get(input, ["spec", "chart", "spec", "sourceRef", "kind"], "") == "HelmRepository"
	object.get(input, ["spec", "chart", "spec", "version"], "*") in {"*", "", ">=0", ">= 0", ">=0.0.0"}
}
