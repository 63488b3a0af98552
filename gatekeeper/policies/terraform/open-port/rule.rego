# METADATA
# title: Only web ports are open to the internet
# description: |
#   Attackers scan every port that is reachable from the internet. Restrict databases, SSH and cluster APIs to known
#   networks.
# custom:
#   severity: error
#   profile: default
#   kinds: [Terraform]
#   remedy: list the permitted networks, or open only the ports 80 and 443
#   standards: ["CIS AWS 5.2", "CIS GCP 3.6"]
package gatekeeper.terraform.open_port

import rego.v1

import data.gatekeeper.lib.terraform

everywhere := {"0.0.0.0/0", "::/0", "*", "Internet", "0.0.0.0", "any"}

web := {80, 443}

deny contains {"msg": msg, "field": array.concat(one.path, ["ingress"])} if {
	some one in terraform.resources
	one.type in {"aws_security_group", "aws_default_security_group"}
	some rule in terraform.listed(one.values, "ingress")
	some field in ["cidr_blocks", "ipv6_cidr_blocks"]
	some range in object.get(rule, [field], [])
	range in everywhere
	not only_web(rule)
	msg := words(one, rule, range)
}

deny contains {"msg": msg, "field": one.path} if {
	some one in terraform.resources
	one.type in {"aws_security_group_rule", "aws_vpc_security_group_ingress_rule"}
	object.get(one.values, ["type"], "ingress") == "ingress"
	some field in ["cidr_blocks", "ipv6_cidr_blocks", "cidr_ipv4", "cidr_ipv6"]
	some range in terraform.listed(one.values, field)
	range in everywhere
	not only_web(one.values)
	msg := words(one, one.values, range)
}

deny contains {"msg": msg, "field": array.concat(one.path, ["source_ranges"])} if {
	some one in terraform.resources
	one.type == "google_compute_firewall"
	object.get(one.values, ["direction"], "INGRESS") == "INGRESS"
	some range in object.get(one.values, ["source_ranges"], [])
	range in everywhere
	some rule in terraform.listed(one.values, "allow")
	not web_ports(object.get(rule, ["ports"], []))
	msg := sprintf("`%s.%s` opens ports other than 80 and 443 to %s", [one.type, one.name, range])
}

deny contains {"msg": msg, "field": array.concat(one.path, ["source_address_prefix"])} if {
	some one in terraform.resources
	one.type == "azurerm_network_security_rule"
	one.values.direction == "Inbound"
	one.values.access == "Allow"
	one.values.source_address_prefix in everywhere
	not one.values.destination_port_range in {"80", "443"}
	msg := sprintf("`%s.%s` opens port %v to %s", [one.type, one.name, object.get(one.values, ["destination_port_range"], "any"), one.values.source_address_prefix])
}

only_web(rule) if {
	rule.from_port == rule.to_port
	rule.from_port in web
}

web_ports(ports) if {
	count(ports) > 0
	every port in ports {
		port in {"80", "443", 80, 443}
	}
}

words(one, rule, range) := sprintf("`%s.%s` opens port %v to %v to %s", [
	one.type, one.name, object.get(rule, ["from_port"], "any"), object.get(rule, ["to_port"], "any"), range,
])
