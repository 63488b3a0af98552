# METADATA
# title: Only safe capabilities are added
# description: |
#   Capabilities beyond the default set (NET_ADMIN, SYS_ADMIN and others) can give access to the node.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove the capability from `add`
#   standards: [PSS baseline, CIS Kubernetes 5.2.9]
package gatekeeper.pod_security.capabilities

import rego.v1

import data.gatekeeper.lib.workload

allowed := {
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

deny contains {"msg": msg, "field": array.concat(entry.path, ["securityContext", "capabilities", "add", i])} if {
	some entry in workload.containers
	some i, capability in object.get(entry.container, ["securityContext", "capabilities", "add"], [])
	not capability in allowed
	msg := sprintf("container `%s` adds the capability %s", [workload.name(entry), capability])
}
