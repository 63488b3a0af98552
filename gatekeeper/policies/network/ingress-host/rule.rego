# METADATA
# title: Ingress rules name a host
# description: |
#   A rule without a host, or for `*`, matches every host name that resolves to the cluster.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Ingress]
#   remedy: set `host` to the host name
#   standards: ['Kubernetes: Ingress']
package gatekeeper.network.ingress_host

import rego.v1

deny contains {"msg": "the Ingress rule matches every host", "field": ["spec", "rules", i, "host"]} if {
	some i, rule in input.spec.rules
	object.get(rule, ["host"], "*") in {"*", ""}
}
