# Terraform resources from HCL files and from plans: {"type", "name", "values", "path"}.
package gatekeeper.lib.terraform

import rego.v1

resources contains {"type": type, "name": name, "values": values, "path": ["resource", type, name, i]} if {
	some type, named in input.resource
	some name, blocks in named
	some i, values in blocks
}

resources contains {"type": held.type, "name": held.name, "values": held.values, "path": path} if {
	walk(input.planned_values, [inner, held])
	held.mode == "managed"
	is_object(held.values)
	path := array.concat(array.concat(["planned_values"], inner), ["values"])
}

# A block or attribute as a list: HCL has blocks as lists, and so do the plans of some providers.
listed(values, name) := held if {
	held := object.get(values, [name], [])
	is_array(held)
} else := [held] if {
	held := object.get(values, [name], [])
	not is_array(held)
}

# Values that only a plan contains: an expression, or a value that is not computed yet.
unknown(value) if contains(value, "${")

unknown(value) if value == null
