# METADATA
# title: No host ports
# description: |
#   A hostPort binds the node's address: it bypasses Services and NetworkPolicies, and only one pod per node can
#   use it.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove `hostPort` and use a Service
#   standards: [PSS baseline, CIS Kubernetes 5.2.13]
package gatekeeper.pod_security.host_ports

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["ports", i, "hostPort"])} if {
	some entry in workload.containers
	some i, port in object.get(entry.container, ["ports"], [])
	object.get(port, ["hostPort"], 0) != 0
	msg := sprintf("container `%s` binds port %v of the node (hostPort)", [workload.name(entry), port.hostPort])
}
