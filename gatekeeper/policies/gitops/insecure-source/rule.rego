# METADATA
# title: Sources are fetched securely
# description: |
#   What is fetched without TLS can be changed on the way, and is then applied to the cluster.
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

# What stays inside of the cluster passes no network that somebody else could listen to.
in_cluster if {
	some field in ["url", "endpoint"]
	regex.match(`^([a-z]+://)?[^/:]+\.svc(\.cluster\.local)?(:\d+)?(/|$)`, object.get(input, ["spec", field], ""))
}
