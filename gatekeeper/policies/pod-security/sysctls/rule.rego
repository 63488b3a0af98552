# METADATA
# title: Only safe sysctls
# description: |
#   Unsafe sysctls change the kernel settings of the node, for all of its pods.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove the sysctl, or set it on the node
#   standards: [PSS baseline]
package gatekeeper.pod_security.sysctls

import rego.v1

import data.gatekeeper.lib.workload

safe := {
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
}

deny contains {"msg": msg, "field": array.concat(workload.pod_path, ["securityContext", "sysctls", i, "name"])} if {
	some i, sysctl in object.get(workload.pod, ["securityContext", "sysctls"], [])
	not sysctl.name in safe
	msg := sprintf("sysctl `%s` is not in the safe set: it changes the kernel settings of the node", [sysctl.name])
}
