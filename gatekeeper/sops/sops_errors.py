"""Why sops failed, by its exit status and known phrases of its error output, without any text of the file.

Source: getsops/sops `cmd/sops/codes/codes.go`, `cmd/sops/main.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.sops import recipients, sops_file

EXIT_NO_KEY = 128
LINE_PATTERN = compile_lazily(r"\bline (\d+)")

EXIT_REASONS: Mapping[int, str] = {
    2: "sops cannot parse it as {form}: correct it, or give it the file name suffix of its format",
    5: "its `.sops.yaml` is invalid: correct it (`gatekeeper check` shows the line)",
    7: "sops can set a text, a number or a mapping, but not a list; use `gatekeeper sops edit`",
    21: "its MAC cannot be encrypted",
    23: "contains a value that sops cannot encrypt",
    24: "its MAC cannot be decrypted: `mac` or `lastmodified` was changed since it was encrypted",
    25: "a value cannot be decrypted: it was changed, moved to another key or replaced by plaintext after encryption",
    49: "its keys cannot be changed: it has no SOPS metadata",
    51: "was changed after it was encrypted: its MAC does not match; restore it from the Git history",
    52: "has no MAC: it was edited after it was encrypted; restore it from the Git history",
    61: "no `.sops.yaml` found in its folder or above; add one, or name recipients after `--`",
    91: "does not have this field",
    92: "contains nothing to encrypt",
    111: "no recipient for it: add a rule to `.sops.yaml`, or name recipients after `--`",
    201: "no editor: set EDITOR",
    203: "is already encrypted",
}
DATA_KEY_REASON = (
    "its data key cannot be encrypted for one of its recipients: correct the recipient, import the PGP key, or sign in "
    "to the KMS"
)
# Phrases in the error output of sops, and our message for each.
KNOWN_PHRASES: tuple[tuple[str, str], ...] = (
    ("no matching creation rules found", "no rule in its `.sops.yaml` matches it: add one with a `path_regex`"),
    ("config file not found, or has no creation rules", EXIT_REASONS[61]),
    ("unknown type: uint64", "contains a number above 9223372036854775807, which sops cannot encrypt: quote it"),
    ("can not compile regexp", "a `path_regex` in its `.sops.yaml` is not a valid regular expression"),
    ("cannot use more than one of", "its rule in `.sops.yaml` has two selectors; keep one"),
    ("sops metadata not found", "is not encrypted with sops"),
    ('No such file or directory: "gpg"', "the file is encrypted for a PGP key, and GnuPG is not installed"),
    ("flag provided but not defined", "sops rejected an option after `--`"),
    ("empty key group provided", EXIT_REASONS[111]),
    ("failed to encrypt new data key", DATA_KEY_REASON),
    ("malformed recipient", "an age recipient is misspelled"),
    ("unknown recipient type", "an age recipient is misspelled"),
    ("invalid dotenv input line", "sops cannot parse it as dotenv: every line must be KEY=value or a comment"),
    ("cannot use complex value", "contains lists or mappings, which this file format does not support"),
)


def format_reason(code: int, stderr: str, file: Path) -> str:
    """Return why sops failed, without any text of the file."""
    if code == EXIT_NO_KEY:
        return _format_no_key_reason(stderr, file)
    line = LINE_PATTERN.search(stderr) if code == 2 else None
    at_line = f" (line {line[1]})" if line else ""
    for phrase, message in KNOWN_PHRASES:
        if phrase in stderr:
            return f"{message}{at_line}"
    reason = EXIT_REASONS.get(code, f"sops failed with exit status {code}; run sops yourself to see its output")
    return reason.format(form=sops_file.detect_format(file.name)) + at_line


def _format_no_key_reason(stderr: str, file: Path) -> str:
    try:
        parsed = sops_file.parse_sops_file(file.name, file.read_bytes())
    except OSError:
        parsed = None
    groups = recipients.parse_metadata_groups((parsed and parsed.metadata) or {})
    names = sorted({name for group in groups for name in group})
    encrypted_for = f"; it is encrypted for {', '.join(name.replace(':', ' ', 1) for name in names)}" if names else ""
    advice = "set SOPS_AGE_KEY_FILE, import the PGP key, or sign in to the KMS"
    if any(name.startswith("pgp:") for name in names) and 'exec: "gpg"' in stderr:
        advice = "GnuPG (`gpg`) is not installed"
    return f"no available key decrypts it{encrypted_for}: {advice}"
