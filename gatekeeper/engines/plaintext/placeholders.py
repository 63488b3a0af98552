"""Placeholders in values: variables of Flux, template actions, descriptions in angle brackets, and ciphertext of sops.

What stands between, before or behind placeholders is no placeholder, and neither is a default value inside one.
"""

from __future__ import annotations

import re

from gatekeeper.host.lazy_pattern import compile_lazily

# Stands for a placeholder in a text; a private character of Unicode, which no value contains.
MARK = "\ue000"
CIPHERTEXT = compile_lazily(r"ENC\[AES256_GCM,data:[\w+/=]*,iv:[\w+/=]+,tag:[\w+/=]+,type:[a-z]+\]")
VARIABLE = compile_lazily(r"\$\{\s*[#!]?[A-Za-z_\ue000][\w.\ue000]*([^{}]*)\}")
DEFAULT = compile_lazily(r":?[-=+](.*)", re.DOTALL)
# A template that writes a template: {{ "{{" }} and {{`{{ .password }}`}}.
ESCAPED_BRACES = compile_lazily(r"\{\{-?\s*(?:\"(\{\{|\}\})\"|`([^`]*)`)\s*-?\}\}")
ACTION = compile_lazily(r"\{\{(.*?)\}\}", re.DOTALL)
LITERAL = compile_lazily(r"(^\s*-?\s*|\bdefault\s+)?(?:\"((?:[^\"\\]|\\.)*)\"|`([^`]*)`|'([^']*)')")
BRACKETS = compile_lazily(r"<([^<>]*)>")
# argocd-vault-plugin: <path:kv/data/app#password>, and <password> where the object has the annotation with the path.
VAULT_PATH = compile_lazily(r"path:[^#<>]+#[^<>]+")
VAULT_KEY = compile_lazily(r"[\w. |-]+")
WORD = compile_lazily(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")
DESCRIPTIVE_WORD = compile_lazily(
    r"""
    your | my | the | insert | enter | put | fill | add | change | changeme | replace | todo | fixme | tbd |
    example | sample | placeholder | redacted | removed | hidden | masked | omitted | encrypted | generated |
    random | dummy | some | secret | secrets | password | passwd | pass | passphrase | pwd | token | key | apikey
    | value | username | user | name | email | mail | host | hostname | server | url | uri | domain | base64 | b64
    | encoded | data | string | text | id | path | none | empty | unset | account | cert | certificate |
    credential | credentials | client | access | region | bucket | port | database | db | here | vault | api |
    private | public | ssh | webhook | license | admin
    | x+
    """,
    re.VERBOSE,
)
NAME_WITH_DIGITS = compile_lazily(r"base64|b64|sha(?:256|512)|md5|s3|k8s|oauth2|x509|ed25519|pkcs8|ec2|v\d")
MAX_NESTING = 4


def mark_placeholders(text: str, has_vault_path: bool = False) -> str:
    """The text with `MARK` for each placeholder; default values and literals inside of placeholders stay.

    Args:
        has_vault_path: whether the object has the annotation of argocd-vault-plugin, which fills in `<key>`.
    """
    text = CIPHERTEXT.sub(MARK, text)
    text = ESCAPED_BRACES.sub(lambda match: match[1] or match[2] or "", text)
    text = ACTION.sub(_mark_action, text)
    for _ in range(MAX_NESTING):
        previous, text = text, VARIABLE.sub(_mark_variable, text)
        if text == previous:
            break
    return BRACKETS.sub(lambda match: MARK if _is_description(match[1], has_vault_path) else match[0], text)


def _mark_variable(match: re.Match[str]) -> str:
    rest = match[1]
    default = DEFAULT.fullmatch(rest)
    if default:
        return MARK + default[1]
    return MARK + (rest if looks_generated(rest.strip(":/")) else "")


def _mark_action(match: re.Match[str]) -> str:
    """Keeps the texts that the action can write: a literal that begins it, a default, and anything random."""
    literals = []
    for found in LITERAL.finditer(match[1]):
        text = found[2] or found[3] or found[4] or ""
        if found[1] is not None or looks_generated(text):
            literals.append(text)
    return MARK + " ".join(literals)


def _is_description(text: str, has_vault_path: bool) -> bool:
    """Whether a text in angle brackets describes a value, as in `<your password>`, and is none."""
    if VAULT_PATH.fullmatch(text) or (has_vault_path and VAULT_KEY.fullmatch(text)):
        return True
    words = [word.lower() for word in WORD.findall(text)]
    if not words:
        return not any(letter.isalnum() for letter in text.replace(MARK, ""))
    is_descriptive = any(DESCRIPTIVE_WORD.fullmatch(word) for word in words)
    return is_descriptive and all(word.isalpha() or NAME_WITH_DIGITS.fullmatch(word) for word in words)


def looks_generated(text: str) -> bool:
    """Whether a word looks as if a machine had made it: letters and digits, or small and capital letters, in turns."""
    if len(text) < 8:
        return False
    digit_changes = len(re.findall(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]", text))
    case_changes = len(re.findall(r"(?<=[a-z])[A-Z]", text))
    if digit_changes + case_changes / 2 >= 4 or case_changes * 3 >= len(text):
        return True
    return len(text) >= 20 and text.isalnum() and len(set(text)) >= 12
