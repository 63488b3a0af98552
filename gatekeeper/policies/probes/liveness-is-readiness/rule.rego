# METADATA
# title: Liveness and readiness probes differ
# description: |
#   If both probes are the same, a container that is only busy is restarted instead of receiving less traffic.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Deployment, StatefulSet, DaemonSet]
#   remedy: give the liveness probe a higher failure threshold, or a cheaper check
#   standards: ['Kubernetes: probes']
package gatekeeper.probes.liveness_is_readiness

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["livenessProbe"])} if {
	some entry in workload.containers
	entry.container.livenessProbe == entry.container.readinessProbe
	msg := sprintf("container `%s` has the same probe for liveness and readiness", [workload.name(entry)])
}
