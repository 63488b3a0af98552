# METADATA
# title: An empty render deletes nothing
# description: |
#   `allowEmpty` lets Argo CD delete the whole application when its folder renders to nothing, by a typo for
#   example.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Application]
#   remedy: remove allowEmpty
#   standards: ['Argo CD: automated sync policy']
package gatekeeper.gitops.argo_allow_empty

import rego.v1

deny contains {"msg": "an empty render would delete everything", "field": ["spec", "syncPolicy", "automated", "allowEmpty"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	input.spec.syncPolicy.automated.allowEmpty == true
}
