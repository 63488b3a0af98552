# METADATA
# title: An empty render must not delete the application
# description: |
#   `allowEmpty` lets Argo CD delete the whole application if its folder renders to nothing, for example because of
#   a typo in the path.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Application]
#   remedy: remove `allowEmpty`
#   standards: ['Argo CD: automated sync policy']
package gatekeeper.gitops.argo_allow_empty

import rego.v1

deny contains {"msg": "`allowEmpty` is set: an empty render deletes the whole application", "field": ["spec", "syncPolicy", "automated", "allowEmpty"]} if {
	startswith(input.apiVersion, "argoproj.io/")
	input.spec.syncPolicy.automated.allowEmpty == true
}
