# METADATA
# title: Environment variables are set once
# description: |
#   If two entries have the same name, only the last one takes effect.
# custom:
#   severity: warning
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: remove one of the two entries
#   standards: ['Kubernetes: define environment variables']
package gatekeeper.workloads.duplicate_env

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["env", j, "name"])} if {
	some entry in workload.containers
	some i, first in object.get(entry.container, ["env"], [])
	some j, second in object.get(entry.container, ["env"], [])
	i < j
	first.name == second.name
	msg := sprintf("container `%s` sets `%s` twice", [workload.name(entry), second.name])
}
