# METADATA
# title: Ingresses use TLS
# description: |
#   Without TLS passwords and sessions travel in the open.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Ingress]
#   remedy: add `spec.tls`
#   standards: ['NSA: encryption in transit']
package gatekeeper.network.ingress_tls

import rego.v1

deny contains {"msg": "the Ingress serves without TLS", "field": ["spec", "tls"]} if {
	count(object.get(input, ["spec", "tls"], [])) == 0
}
