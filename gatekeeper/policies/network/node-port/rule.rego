# METADATA
# title: No NodePort Services
# description: |
#   A NodePort opens a port on each node and bypasses the load balancer and its rules.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Service]
#   remedy: use ClusterIP behind an Ingress or a Gateway
#   standards: ['NSA: network separation']
package gatekeeper.network.node_port

import rego.v1

deny contains {"msg": "the Service opens a port on every node (NodePort)", "field": ["spec", "type"]} if {
	input.spec.type == "NodePort"
}
