# METADATA
# title: Sources are fetched over TLS or SSH
# description: |
#   An attacker on the network can change a source that is fetched without TLS, and Flux then applies the change.
# custom:
#   severity: error
#   profile: default
#   kinds: [GitRepository, OCIRepository, HelmRepository, Bucket]
#   remedy: use https or ssh, and remove `insecure`
#   standards: ['NSA: encryption in transit']
package gatekeeper.gitops.insecure_source

import rego.v1

deny contains {"msg": "the source is fetched without TLS", "field": ["spec", "url"]} if {
	contains(input.apiVersion, "source.toolkit.fluxcd.io/")
	startswith(object.get(input, ["spec", "url"], ""), "http://")
	not in_cluster
}

deny contains {"msg": "the source is fetched without TLS", "field": ["spec", "insecure"]} if {
	contains(input.apiVersion, "source.toolkit.fluxcd.io/")
	object.get(input, ["spec", "insecure"], false) == true
	not in_cluster
}

# Traffic inside the cluster does not cross a network that an outsider could listen to.
in_cluster if {
	some field in ["url", "endpoint"]
	regex.match(`^([a-z]+://)?[^/:]+\.svc(\.cluster\.local)?(:\d+)?(/|$)`, object.get(input, ["spec", field], ""))
}
