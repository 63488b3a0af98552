# METADATA
# title: Liveness asks something else than readiness
# description: |
#   If both probes are the same, a container that is only busy is killed instead of spared.
# custom:
#   severity: info
#   profile: strict
#   kinds: [Deployment, StatefulSet, DaemonSet]
#   remedy: let the liveness probe fail later, or ask something cheaper
#   standards: ['Kubernetes: probes']
package gatekeeper.probes.liveness_is_readiness

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["livenessProbe"])} if {
	some entry in workload.containers
	entry.container.livenessProbe == entry.container.readinessProbe
	msg := sprintf("container `%s` has the same probe for liveness and readiness", [workload.name(entry)])
}
