# METADATA
# title: Flux resources are not suspended
# description: |
#   A suspended resource drifts without a report: the cluster no longer matches Git.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Kustomization, HelmRelease, GitRepository, OCIRepository, HelmRepository, Bucket]
#   remedy: 'remove `suspend: true`'
#   standards: ['Flux: suspend']
package gatekeeper.gitops.flux_suspended

import rego.v1

deny contains {"msg": "the resource is suspended: changes in Git are not applied to the cluster", "field": ["spec", "suspend"]} if {
	contains(input.apiVersion, ".toolkit.fluxcd.io/")
	input.spec.suspend == true
}
