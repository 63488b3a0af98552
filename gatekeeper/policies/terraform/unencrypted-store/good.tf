resource "aws_db_instance" "main" {
  engine            = "postgres"
  storage_encrypted = true
}

resource "aws_ebs_volume" "data" {
  encrypted = var.encrypted
  size      = 10
}
