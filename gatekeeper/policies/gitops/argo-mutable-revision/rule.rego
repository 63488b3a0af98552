# METADATA
# title: Production follows a fixed revision
# description: |
#   `HEAD` or no revision at all follows whatever is pushed to the default branch.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Application]
#   remedy: name a tag or a commit, or a branch that is protected
#   standards: ['Argo CD: tracking strategies']
package gatekeeper.gitops.argo_mutable_revision

import rego.v1

deny contains {"msg": "a production application follows HEAD: every push reaches it", "field": ["spec", "source", "targetRevision"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	object.get(input, ["spec", "source", "targetRevision"], "HEAD") in {"HEAD", ""}
	not input.spec.source.chart
	regex.match(`(?i)(^|[-_/.])prod(uction)?($|[-_/.])`, concat("/", [
		object.get(input, ["metadata", "name"], ""),
		object.get(input, ["spec", "destination", "namespace"], ""),
		object.get(input, ["spec", "source", "path"], ""),
	]))
}
