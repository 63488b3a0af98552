# METADATA
# title: Containers say when they are ready
# description: |
#   Without a readiness probe traffic reaches a container that cannot answer yet, at every rollout.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [Deployment, StatefulSet, DaemonSet]
#   remedy: add a readinessProbe to the container that serves
#   standards: ['Kubernetes: probes']
package gatekeeper.probes.readiness

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["readinessProbe"])} if {
	some entry in workload.containers
	entry.list == "containers"
	count(object.get(entry.container, ["ports"], [])) > 0
	not entry.container.readinessProbe
	msg := sprintf("container `%s` serves a port but has no readiness probe", [workload.name(entry)])
}
