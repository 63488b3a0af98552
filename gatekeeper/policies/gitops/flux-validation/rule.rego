# METADATA
# title: Flux ignores `validation`
# description: |
#   Since v1beta2 every change is tried by a server-side dry run; the field does nothing, and v1 refuses it.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Kustomization]
#   remedy: remove the field
#   standards: ['Flux: Kustomization v1beta2 changes']
package gatekeeper.gitops.flux_validation

import rego.v1

deny contains {"msg": "`spec.validation` has no effect any more: Flux tries every change by a server-side dry run", "field": ["spec", "validation"]} if {
	startswith(input.apiVersion, "kustomize.toolkit.fluxcd.io/")
	input.spec.validation
}
