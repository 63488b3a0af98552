variable "db_password" {
  type      = string
  sensitive = true
}

variable "token_lifetime" {
  default   = 3600
  sensitive = true
}

provider "aws" {
  region = "eu-central-1"
}
