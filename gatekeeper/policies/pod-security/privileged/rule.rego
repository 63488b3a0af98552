# METADATA
# title: No privileged containers
# description: |
#   A privileged container has full access to the node: an attacker in the container controls the node.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'remove `privileged: true`; add single capabilities instead'
#   standards: [PSS baseline, CIS Kubernetes 5.2.2]
package gatekeeper.pod_security.privileged

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "privileged"])} if {
	some entry in workload.containers
	object.get(entry.container, ["securityContext", "privileged"], false) == true
	msg := sprintf("container `%s` is privileged", [workload.name(entry)])
}
