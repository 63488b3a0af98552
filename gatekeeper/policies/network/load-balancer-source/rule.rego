# METADATA
# title: Load balancers say who may come
# description: |
#   Without source ranges a load balancer is open to the whole internet.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Service]
#   remedy: set loadBalancerSourceRanges
#   standards: ['NSA: network separation']
package gatekeeper.network.load_balancer_source

import rego.v1

deny contains {"msg": "the load balancer is open to every address", "field": ["spec", "loadBalancerSourceRanges"]} if {
	input.spec.type == "LoadBalancer"
	count(object.get(input, ["spec", "loadBalancerSourceRanges"], [])) == 0
}
