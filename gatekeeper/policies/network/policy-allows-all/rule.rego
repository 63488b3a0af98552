# METADATA
# title: NetworkPolicies restrict something
# description: |
#   An empty rule allows everything, which reads like protection and is none.
# custom:
#   severity: warning
#   profile: default
#   kinds: [NetworkPolicy]
#   remedy: name who may come with `from`, or remove the policy
#   standards: [CIS Kubernetes 5.3.2]
package gatekeeper.network.policy_allows_all

import rego.v1

deny contains {"msg": "an empty ingress rule lets everybody in from everywhere", "field": ["spec", "ingress", i]} if {
	some i, rule in input.spec.ingress
	rule == {}
	object.get(input, ["spec", "podSelector"], {}) == {}
}
