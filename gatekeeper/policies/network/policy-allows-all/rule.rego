# METADATA
# title: NetworkPolicies restrict ingress
# description: |
#   An empty rule allows all traffic: the policy looks like protection but has no effect.
# custom:
#   severity: warning
#   profile: default
#   kinds: [NetworkPolicy]
#   remedy: list the permitted sources in `from`, or remove the policy
#   standards: [CIS Kubernetes 5.3.2]
package gatekeeper.network.policy_allows_all

import rego.v1

deny contains {"msg": "the empty ingress rule allows traffic from every source", "field": ["spec", "ingress", i]} if {
	some i, rule in input.spec.ingress
	rule == {}
	object.get(input, ["spec", "podSelector"], {}) == {}
}
