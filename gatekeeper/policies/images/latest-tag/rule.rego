# METADATA
# title: Images name a version
# description: |
#   An image without a tag, or with `latest`, is another image tomorrow: what was judged is not what will run,
#   and a rollback brings nothing back.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: write the version as a tag, or better the digest (`image@sha256:…`)
#   standards: ["CIS Kubernetes 5.5.1", "NSA Kubernetes Hardening Guide: image scanning"]
package gatekeeper.images.latest_tag

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["image"])} if {
	some entry in workload.containers
	image := object.get(entry.container, ["image"], "")
	floating(image)
	msg := sprintf("container `%s` runs `%s`, which names no fixed version", [workload.name(entry), image])
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
