# METADATA
# title: Containers have a readiness probe
# description: |
#   Without a readiness probe, every rollout sends traffic to containers that cannot answer yet.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Deployment, StatefulSet, DaemonSet]
#   remedy: add a `readinessProbe` to the container
#   standards: ['Kubernetes: probes']
package gatekeeper.probes.readiness

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["readinessProbe"])} if {
	some entry in workload.containers
	entry.list == "containers"
	count(object.get(entry.container, ["ports"], [])) > 0
	not entry.container.readinessProbe
	msg := sprintf("container `%s` exposes a port but has no readiness probe", [workload.name(entry)])
}
