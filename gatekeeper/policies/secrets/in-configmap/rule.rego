# METADATA
# title: No passwords in ConfigMaps
# description: |
#   Many users who must not read Secrets can read ConfigMaps.
# custom:
#   severity: warning
#   profile: strict
#   kinds: [ConfigMap]
#   remedy: move the entry into a SealedSecret or an ExternalSecret
#   standards: [CIS Kubernetes 5.4.1]
package gatekeeper.secrets.in_configmap

import rego.v1

deny contains {"msg": msg, "field": ["data", key]} if {
	some key, value in object.get(input, ["data"], {})
	regex.match(`(?i)(^|[_.-])(password|passwd|secret[_.-]?key|api[_.-]?key|auth[_.-]?token|private[_.-]?key)$`, key)
	value != ""
	msg := sprintf("`%s` looks like a secret: a ConfigMap does not protect it", [key])
}
