# METADATA
# title: Services claim no addresses
# description: |
#   externalIPs let whoever writes a Service catch traffic that is meant for others (CVE-2020-8554).
# custom:
#   severity: error
#   profile: default
#   kinds: [Service]
#   remedy: remove externalIPs and use a LoadBalancer or a Gateway
#   standards: [CVE-2020-8554]
package gatekeeper.network.external_ips

import rego.v1

deny contains {"msg": "the Service claims external addresses", "field": ["spec", "externalIPs"]} if {
	count(object.get(input, ["spec", "externalIPs"], [])) > 0
}
