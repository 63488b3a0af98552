# METADATA
# title: Kustomizations wait for their objects
# description: |
#   Without `wait` or health checks, a Kustomization is Ready before its workloads run, and its dependents start
#   too early.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Kustomization]
#   remedy: 'set `wait: true`, or list `healthChecks`'
#   standards: ['Flux: Kustomization health checks']
package gatekeeper.gitops.flux_health

import rego.v1

deny contains {"msg": "the Kustomization prunes but does not check the health of the objects that it applies", "field": ["spec", "prune"]} if {
	startswith(input.apiVersion, "kustomize.toolkit.fluxcd.io/")
	input.spec.prune == true
	object.get(input, ["spec", "wait"], false) != true
	not input.spec.healthChecks
	not input.spec.healthCheckExprs
}
