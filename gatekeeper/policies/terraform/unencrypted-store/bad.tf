# finding: resource.aws_db_instance.main[0].storage_encrypted
resource "aws_db_instance" "main" {
  engine            = "postgres"
  storage_encrypted = false
}
