# METADATA
# title: Containers do not run as root
# description: |
#   If an attacker escapes from a container that runs as root, the attacker is root on the node.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: 'set `runAsNonRoot: true` for the pod or the container'
#   standards: [PSS restricted, CIS Kubernetes 5.2.7, 'NSA: non-root containers']
package gatekeeper.pod_security.run_as_non_root

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "runAsNonRoot"])} if {
	some entry in workload.containers
	whole := object.get(workload.pod, ["securityContext", "runAsNonRoot"], false)
	object.get(entry.container, ["securityContext", "runAsNonRoot"], whole) != true
	msg := sprintf("container `%s` may run as root", [workload.name(entry)])
}
