# METADATA
# title: /proc is masked
# description: |
#   An unmasked /proc exposes kernel interfaces to the container.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove `procMount`
#   standards: [PSS baseline]
package gatekeeper.pod_security.proc_mount

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "procMount"])} if {
	some entry in workload.containers
	object.get(entry.container, ["securityContext", "procMount"], "Default") != "Default"
	msg := sprintf("container `%s` unmasks /proc (`procMount`)", [workload.name(entry)])
}
