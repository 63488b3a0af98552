# finding: variable.db_password[0].default
variable "db_password" {
  default   = "changeme"
  sensitive = true
}
