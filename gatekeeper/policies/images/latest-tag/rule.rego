# METADATA
# title: Images have a version tag
# description: |
#   An image without a tag, or with `latest`, can change at any time: the image that was checked is not the image
#   that runs, and a rollback does not restore the old one.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: add a version tag, or better a digest (`image@sha256:…`)
#   standards: ["CIS Kubernetes 5.5.1", "NSA Kubernetes Hardening Guide: image scanning"]
package gatekeeper.images.latest_tag

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := object.get(entry.container, ["image"], "")
	floating(image)
	msg := sprintf("container `%s` runs `%s`, which has no fixed version", [workload.name(entry), image])
}

floating(image) if {
	image != ""
	not contains(image, "@")
	not contains(image, "${")
	last := regex.split("/", image)[count(regex.split("/", image)) - 1]
	not contains(last, ":")
}

floating(image) if {
	not contains(image, "@")
	endswith(image, ":latest")
}
