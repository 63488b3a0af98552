# METADATA
# title: Flux waits for what it applies
# description: |
#   Without `wait` or health checks a Kustomization is Ready though nothing runs, and what depends on it starts
#   too early.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Kustomization]
#   remedy: 'set `wait: true`, or list healthChecks'
#   standards: ['Flux: Kustomization health checks']
package gatekeeper.gitops.flux_health

import rego.v1

deny contains {"msg": "prunes, but never looks whether what it applied is healthy", "field": ["spec", "prune"]} if {
	startswith(input.apiVersion, "kustomize.toolkit.fluxcd.io/")
	input.spec.prune == true
	object.get(input, ["spec", "wait"], false) != true
	not input.spec.healthChecks
	not input.spec.healthCheckExprs
}
