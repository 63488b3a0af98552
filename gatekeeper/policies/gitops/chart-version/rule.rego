# METADATA
# title: Charts name a version
# description: |
#   Without a version, or with `*`, the chart changes by itself, without a commit and without a review.
# custom:
#   severity: warning
#   profile: default
#   kinds: [HelmRelease]
#   remedy: write the chart's version
#   standards: ['Flux: HelmRelease chart version']
package gatekeeper.gitops.chart_version

import rego.v1

deny contains {"msg": "the chart has no fixed version: any release of it is taken", "field": ["spec", "chart", "spec", "version"]} if {
	object.get(input, ["spec", "chart", "spec", "sourceRef", "kind"], "") == "HelmRepository"
	object.get(input, ["spec", "chart", "spec", "version"], "*") in {"*", "", ">=0", ">= 0", ">=0.0.0"}
}
