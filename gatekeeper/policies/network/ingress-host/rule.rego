# METADATA
# title: Ingresses name their host
# description: |
#   A rule without a host, or for `*`, answers for every name that leads to the cluster.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Ingress]
#   remedy: write the host's name
#   standards: ['Kubernetes: Ingress']
package gatekeeper.network.ingress_host

import rego.v1

deny contains {"msg": "the rule answers for every host", "field": ["spec", "rules", i, "host"]} if {
	some i, rule in input.spec.rules
	object.get(rule, ["host"], "*") in {"*", ""}
}
