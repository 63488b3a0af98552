# METADATA
# title: Services do not set externalIPs
# description: |
#   With `externalIPs`, a user who can create a Service can intercept traffic to other hosts (CVE-2020-8554).
# custom:
#   severity: error
#   profile: default
#   kinds: [Service]
#   remedy: remove `externalIPs` and use a LoadBalancer or a Gateway
#   standards: [CVE-2020-8554]
package gatekeeper.network.external_ips

import rego.v1

deny contains {"msg": "the Service sets `externalIPs`, which can intercept traffic to other hosts", "field": ["spec", "externalIPs"]} if {
	count(object.get(input, ["spec", "externalIPs"], [])) > 0
}
