"""The check of many Terraform files, parsed by HashiCorp's own parser."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

FILES, FILES_PER_MODULE = 12_000, 40
MODULE = """\
variable "name_{n}" {{
  type        = string
  description = "the name of bucket {n}"
  default     = "logs-{n}"
}}

resource "aws_s3_bucket" "logs_{n}" {{
  bucket = "${{var.name_{n}}}-${{terraform.workspace}}"
  tags = {{
    Name        = var.name_{n}
    Environment = terraform.workspace
    Team        = "shop"
  }}
}}

resource "aws_s3_bucket_lifecycle_configuration" "logs_{n}" {{
  bucket = aws_s3_bucket.logs_{n}.id
  rule {{
    id     = "expire"
    status = "Enabled"
    expiration {{
      days = {n} % 30 + 1
    }}
  }}
}}

resource "aws_s3_bucket_public_access_block" "logs_{n}" {{
  bucket                  = aws_s3_bucket.logs_{n}.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}}

output "arn_{n}" {{
  value = [for part in split(":", aws_s3_bucket.logs_{n}.arn) : part if part != ""]
}}
"""


def write(folder: Path) -> None:
    """Modules with a few resources in each file."""
    (folder / "gatekeeper.yaml").write_text("library: {profile: 'off'}\n")
    for number in range(FILES):
        module = folder / f"module-{number // FILES_PER_MODULE:03}"
        module.mkdir(exist_ok=True)
        (module / f"bucket-{number:05}.tf").write_text(MODULE.format(n=number))


def lines(gatekeeper: Path, measure: Callable[[list[str | Path], Path], tuple[float, float, int]]) -> list[str]:
    """Seconds of a check without a cache.

    Args:
        measure: returns wall and CPU seconds, and the peak of memory in kilobytes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        wall, cpu, memory = measure([gatekeeper, "check", "--no-cache", folder], folder)
    return [f"{FILES:,} files: {cpu:.1f} s of CPU time, {wall:.1f} s elapsed, {memory // 1024} MB."]
