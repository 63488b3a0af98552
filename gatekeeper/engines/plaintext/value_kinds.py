"""What a value of a Secret is, by its key and its text: a secret, or clearly none.

Clearly no secrets are placeholders, booleans, user names, and addresses, paths and e-mail addresses without
credentials. Every other value counts as a secret.
"""

from __future__ import annotations

import ipaddress
import re

from gatekeeper.engines.plaintext.placeholders import MARK, looks_generated, mark_placeholders
from gatekeeper.host.lazy_pattern import compile_lazily

# Keys of values that are public, unless they contain credentials.
PUBLIC_KEYS = {"ca.crt", "tls.crt", "known_hosts", "namespace", "username", "url", "type", "name", "project"}
# Random letters in these are no secrets.
PUBLIC_KEY_MATERIAL = {"ca.crt", "tls.crt", "known_hosts"}
SEPARATORS = compile_lazily(rf"[\s{MARK}:/@,;|._=&?#+~\"'()\[\]{{}}<>\\-]*")
BOOLEAN = compile_lazily(r"(?i)true|false|yes|no|on|off|null|nil|none|enabled|disabled")
USER_KEY = compile_lazily(r"(?i).*(?:user|user[._-]?name|login)")
USER_NAME = compile_lazily(rf"[\w.@+\\{MARK}-]{{1,64}}")
PORT_KEY = compile_lazily(r"(?i).*port")
HOST_KEY = compile_lazily(r"(?i).*(?:host|hostname|server|servers|address|addr|endpoint|broker|brokers|domain|nodes?)")
PATH_KEY = compile_lazily(r"(?i).*(?:path|file|dir|directory|folder|mount)")
SECRET_KEY = compile_lazily(r"(?i).*(?:pass|pwd|secret|token|credential|key|auth|pin|salt|cookie|private)")
PUBLIC_ENDING = compile_lazily(
    r"(?i).*(?:url|uri|host|hostname|server|endpoint|address|addr|file|path|dir|name|id|type|user|email|port|issuer)"
)
URL = compile_lazily(rf"(?i)(?:jdbc:)?[a-z{MARK}][a-z0-9+.:{MARK}-]*://\S*")
# The password may contain `@`: the last one ends it.
URL_PASSWORD = compile_lazily(rf"(?i)[a-z0-9+.{MARK}-]://[^\s/@:\"']*:([^\s/\"']*)@")
URL_USER = compile_lazily(rf"(?i)[a-z0-9+.{MARK}-]://([^\s/@:\"']+)@")
PARAMETER = compile_lazily(
    r"(?i)[?&;](?:[\w.-]*(?:password|passwd|pwd|secret|token|signature|api[_-]?key|access[_-]?key)|pass|sig|key)"
    r"=([^\s&;\"']+)"
)
PRIVATE_KEY = "PRIVATE KEY-----"
LABEL = rf"[A-Za-z0-9_{MARK}](?:[A-Za-z0-9_{MARK}-]*[A-Za-z0-9{MARK}])?"
PORT = rf"(?::(?:\d{{1,5}}|{MARK}))?"
HOST = compile_lazily(rf"(?:(?:{LABEL}\.)+(?:[A-Za-z]{{2,}}|{MARK})\.?|localhost|{MARK}){PORT}/?")
SHORT_HOST = compile_lazily(rf"{LABEL}(?:\.{LABEL})*{PORT}")
IP_PORT = compile_lazily(r"\[?([0-9A-Fa-f.:]+?)\]?(?:(?<=[\].\d]):(\d{1,5}))?(/\d{1,3})?")
EMAIL = compile_lazily(rf"(?:[\w .]*<)?[\w.+{MARK}-]+@(?:{LABEL}\.)+(?:[A-Za-z]{{2,}}|{MARK})>?")
PATH = compile_lazily(rf"(?:~|\.{{1,2}}|[A-Za-z]:|{MARK})?[/\\](?:[\w.@+ {MARK}-]+[/\\]?)*")
PIECES = compile_lazily(rf"[^A-Za-z0-9]+|{MARK}")
MIN_GENERATED = 10


def is_secret(key: str, text: str, has_vault_path: bool = False) -> bool:
    """Whether a value of a Secret is, or may be, a secret in plaintext.

    Args:
        has_vault_path: whether the object has the annotation of argocd-vault-plugin; see `mark_placeholders`.
    """
    marked = mark_placeholders(text, has_vault_path).strip()
    if SEPARATORS.fullmatch(marked) or BOOLEAN.fullmatch(marked.replace(MARK, "")):
        return False
    if has_credentials(marked):
        return True
    if key in PUBLIC_KEYS:
        return key not in PUBLIC_KEY_MATERIAL and has_generated_part(marked)
    if USER_KEY.fullmatch(key) and USER_NAME.fullmatch(marked):
        return has_generated_part(marked)
    if PORT_KEY.fullmatch(key) and marked.isdecimal():
        return False
    return not all(_is_address(key, part) for part in re.split(r"[,;]\s*|\s*\n\s*", marked) if part)


def has_credentials(marked: str) -> bool:
    """Whether a text has a private key, or a URL with a password, a token or a secret parameter.

    Args:
        marked: the text as `mark_placeholders` returns it.
    """
    if PRIVATE_KEY in marked:
        return True
    secrets = (*URL_PASSWORD.findall(marked), *PARAMETER.findall(marked))
    if any(not SEPARATORS.fullmatch(secret) for secret in secrets):
        return True
    return any(looks_generated(piece) for user in URL_USER.findall(marked) for piece in PIECES.split(user))


def has_generated_part(marked: str) -> bool:
    """Whether a part of a text looks random and is long enough for a password."""
    return any(len(piece) >= MIN_GENERATED and looks_generated(piece) for piece in PIECES.split(marked) if piece)


def _is_address(key: str, text: str) -> bool:
    """Whether a text is a URL, path, host or e-mail address without anything random in it.

    A value whose key says that it is a secret must be a URL or a path of two folders at least.
    """
    if any(looks_generated(piece) for piece in PIECES.split(text) if piece):
        return False
    if URL.fullmatch(text):
        return True
    is_path = PATH.fullmatch(text) is not None
    if SECRET_KEY.match(key) and not PUBLIC_ENDING.fullmatch(key):
        return is_path and len([part for part in re.split(r"[/\\]", text) if part]) > 1
    if is_path:
        return bool(PATH_KEY.fullmatch(key)) or not any(letter.isdigit() for letter in text) or text.count("/") > 1
    if HOST.fullmatch(text) or EMAIL.fullmatch(text) or _is_ip_address(text):
        return True
    return HOST_KEY.fullmatch(key) is not None and SHORT_HOST.fullmatch(text) is not None


def _is_ip_address(text: str) -> bool:
    match = IP_PORT.fullmatch(text)
    try:
        return match is not None and bool(ipaddress.ip_address(match[1]))
    except ValueError:
        return False
