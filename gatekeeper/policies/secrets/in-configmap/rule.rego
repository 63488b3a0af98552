# METADATA
# title: Passwords are not in ConfigMaps
# description: |
#   A ConfigMap is read by many who may not read Secrets.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [ConfigMap]
#   remedy: move the entry into a sealed or fetched Secret
#   standards: [CIS Kubernetes 5.4.1]
package gatekeeper.secrets.in_configmap

import rego.v1

deny contains {"msg": msg, "field": ["data", key]} if {
	some key, value in object.get(input, ["data"], {})
	regex.match(`(?i)(^|[_.-])(password|passwd|secret[_.-]?key|api[_.-]?key|auth[_.-]?token|private[_.-]?key)$`, key)
	value != ""
	msg := sprintf("`%s` looks like a secret, and ConfigMaps are no place for one", [key])
}
