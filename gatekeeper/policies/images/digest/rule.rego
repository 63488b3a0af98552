# METADATA
# title: Images name a digest
# description: |
#   A tag can be moved to another image; a digest cannot.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: "write `image@sha256:\u2026`"
#   standards: ['NSA: image integrity']
package gatekeeper.images.digest

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := object.get(entry.container, ["image"], "")
	image != ""
	not contains(image, "@sha256:")
	msg := sprintf("container `%s` names its image by a tag, which can move", [workload.name(entry)])
}
