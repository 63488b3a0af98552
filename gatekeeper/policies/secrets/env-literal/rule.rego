# METADATA
# title: No plaintext passwords in environment variables
# description: |
#   Everyone who can read the repository can read a password in a manifest.
# custom:
#   severity: error
#   profile: default
#   kinds: [Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob]
#   remedy: use `valueFrom.secretKeyRef`, and change the password
#   standards: [CIS Kubernetes 5.4.1]
package gatekeeper.secrets.env_literal

import rego.v1

import data.gatekeeper.lib.workload

deny contains {"msg": msg, "field": array.concat(entry.path, ["env", i, "name"])} if {
	some entry in workload.containers
	some i, variable in object.get(entry.container, ["env"], [])
	regex.match(`(?i)(^|_)(PASSWORD|PASSWD|SECRET_KEY|API_KEY|APIKEY|ACCESS_KEY|AUTH_TOKEN|PRIVATE_KEY)$`, variable.name)
	is_string(object.get(variable, ["value"], null))
	telling(variable.value)
	msg := sprintf("container `%s` has a plaintext secret in the environment variable `%s`", [workload.name(entry), variable.name])
}

telling(value) if {
	count(value) > 3
	not regex.match(`^(\$|/|<|\{\{)|\$\{|\$\(`, value)
	not lower(value) in {"true", "false", "none", "null", "changeme"}
}
