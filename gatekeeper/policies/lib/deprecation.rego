# Whether an API version is gone in the Kubernetes version that the repository is judged for.
package gatekeeper.lib.deprecation

import rego.v1

gone(entry) if {
	startswith(entry.removed, "Kubernetes 1.")
	to_number(trim_prefix(entry.removed, "Kubernetes 1.")) <= minor
}

gone(entry) if {
	entry.removed
	not startswith(entry.removed, "Kubernetes 1.")
}

minor := to_number(split(data.gatekeeper.kubernetes, ".")[1])
