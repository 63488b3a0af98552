# METADATA
# title: "`spec.validation` is not used"
# description: |
#   Since v1beta2, Flux validates every change by a server-side dry run; the field has no effect, and v1 rejects it.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Kustomization]
#   remedy: remove `spec.validation`
#   standards: ['Flux: Kustomization v1beta2 changes']
package gatekeeper.gitops.flux_validation

import rego.v1

deny contains {"msg": "`spec.validation` has no effect: Flux validates every change by a server-side dry run", "field": ["spec", "validation"]} if {
	startswith(input.apiVersion, "kustomize.toolkit.fluxcd.io/")
	input.spec.validation
}
