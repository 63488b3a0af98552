# METADATA
# title: Nothing stays suspended
# description: |
#   A suspended resource drifts silently, and what is in Git is no longer what runs.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Kustomization, HelmRelease, GitRepository, OCIRepository, HelmRepository, Bucket]
#   remedy: 'remove `suspend: true`'
#   standards: ['Flux: suspend']
package gatekeeper.gitops.flux_suspended

import rego.v1

deny contains {"msg": "is suspended: changes in Git do not reach the cluster", "field": ["spec", "suspend"]} if {
	contains(input.apiVersion, ".toolkit.fluxcd.io/")
	input.spec.suspend == true
}
