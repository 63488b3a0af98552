# METADATA
# title: Production Applications name a revision
# description: |
#   With `HEAD` or without a revision, every push to the default branch is deployed to production.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Application]
#   remedy: set `targetRevision` to a tag, a commit or a protected branch
#   standards: ['Argo CD: tracking strategies']
package gatekeeper.gitops.argo_mutable_revision

import rego.v1

deny contains {"msg": "the production Application follows HEAD: every push to the default branch is deployed", "field": ["spec", "source", "targetRevision"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	object.get(input, ["spec", "source", "targetRevision"], "HEAD") in {"HEAD", ""}
	not input.spec.source.chart
	regex.match(`(?i)(^|[-_/.])prod(uction)?($|[-_/.])`, concat("/", [
		object.get(input, ["metadata", "name"], ""),
		object.get(input, ["spec", "destination", "namespace"], ""),
		object.get(input, ["spec", "source", "path"], ""),
	]))
}
