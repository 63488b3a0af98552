# Whether an API version is removed in the Kubernetes version that the repository is checked for.
package gatekeeper.lib.deprecation

import rego.v1

is_removed(entry) if {
	startswith(entry.removed, "Kubernetes 1.")
	to_number(trim_prefix(entry.removed, "Kubernetes 1.")) <= minor
}

is_removed(entry) if {
	entry.removed
	not startswith(entry.removed, "Kubernetes 1.")
}

minor := to_number(split(data.gatekeeper.kubernetes, ".")[1])
