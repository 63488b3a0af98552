# METADATA
# title: Ingresses use TLS
# description: |
#   Without TLS, passwords and session cookies cross the network unencrypted.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Ingress]
#   remedy: add `spec.tls`
#   standards: ['NSA: encryption in transit']
package gatekeeper.network.ingress_tls

import rego.v1

deny contains {"msg": "the Ingress has no TLS configuration", "field": ["spec", "tls"]} if {
	count(object.get(input, ["spec", "tls"], [])) == 0
}
