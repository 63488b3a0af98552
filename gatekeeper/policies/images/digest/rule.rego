# METADATA
# title: Images are pinned by digest
# description: |
#   A tag can be moved to a different image; a digest cannot.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: "pin the image by digest: `image@sha256:\u2026`"
#   standards: ['NSA: image integrity']
package gatekeeper.images.digest

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := object.get(entry.container, ["image"], "")
	image != ""
	not contains(image, "@sha256:")
	msg := sprintf("container `%s` refers to its image by a tag, not by a digest", [workload.name(entry)])
}
