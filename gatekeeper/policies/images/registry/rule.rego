# METADATA
# title: Images come from allowed registries
# description: |
#   Control over the registry is control over the code that runs. List the registries as data: `gatekeeper: {registries:
#   [registry.example.com/]}`.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: push the image to an allowed registry, or add its registry to the list
#   standards: [CIS Kubernetes 5.5.1]
package gatekeeper.images.registry

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := entry.container.image
	known := data.gatekeeper.registries
	not strings.any_prefix_match(image, known)
	msg := sprintf("container `%s` runs an image from a registry that is not in the list", [workload.name(entry)])
}
