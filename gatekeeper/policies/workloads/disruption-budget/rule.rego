# METADATA
# title: Nodes can be drained
# description: |
#   A PodDisruptionBudget that permits no disruption blocks every node upgrade.
# custom:
#   severity: warning
#   profile: default
#   kinds: [PodDisruptionBudget]
#   remedy: permit at least one unavailable pod
#   standards: ['Kubernetes: disruptions']
package gatekeeper.workloads.disruption_budget

import rego.v1

deny contains {"msg": "the PodDisruptionBudget never permits an eviction", "field": ["spec", "maxUnavailable"]} if {
	input.spec.maxUnavailable in {0, "0", "0%"}
}

deny contains {"msg": "the PodDisruptionBudget never permits an eviction", "field": ["spec", "minAvailable"]} if {
	input.spec.minAvailable == "100%"
}
