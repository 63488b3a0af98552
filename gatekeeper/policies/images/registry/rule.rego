# METADATA
# title: Images come from known registries
# description: |
#   Whoever controls the registry controls what runs. Give the registries as data: `gatekeeper: {registries:
#   [registry.example.com/]}`.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: push the image to a registry of the list, or add its registry
#   standards: [CIS Kubernetes 5.5.1]
package gatekeeper.images.registry

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := entry.container.image
	known := data.gatekeeper.registries
	not strings.any_prefix_match(image, known)
	msg := sprintf("container `%s` runs an image from none of the known registries", [workload.name(entry)])
}
