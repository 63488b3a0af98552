# METADATA
# title: Load balancers restrict their source addresses
# description: |
#   Without source ranges, a load balancer is reachable from the whole internet.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Service]
#   remedy: set `spec.loadBalancerSourceRanges`
#   standards: ['NSA: network separation']
package gatekeeper.network.load_balancer_source

import rego.v1

deny contains {"msg": "the load balancer accepts connections from every address", "field": ["spec", "loadBalancerSourceRanges"]} if {
	input.spec.type == "LoadBalancer"
	count(object.get(input, ["spec", "loadBalancerSourceRanges"], [])) == 0
}
