# METADATA
# title: Nodes can be drained
# description: |
#   A budget that allows no disruption at all blocks every node upgrade.
# custom:
#   severity: warning
#   profile: default
#   kinds: [PodDisruptionBudget]
#   remedy: allow at least one pod to be away
#   standards: ['Kubernetes: disruptions']
package gatekeeper.workloads.disruption_budget

import rego.v1

deny contains {"msg": "the budget never allows a pod to be moved", "field": ["spec", "maxUnavailable"]} if {
	input.spec.maxUnavailable in {0, "0", "0%"}
}

deny contains {"msg": "the budget never allows a pod to be moved", "field": ["spec", "minAvailable"]} if {
	input.spec.minAvailable == "100%"
}
