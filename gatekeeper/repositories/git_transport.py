"""How a repository is reached: with which credentials, whose certificates are trusted, and through which proxy.

Nothing of the user's own Git is used. What is secret reaches git through files in memory or its environment, and never
through an argument. Source: source-controller `docs/spec/v1/gitrepositories.md` (secret reference, proxy).
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.secret_value import SecretBytes

# Where no `.netrc` and no configuration of ssh is.
NONEXISTENT_HOME = "/nonexistent"
PROXY_URL = re.compile(r"https?://[^\s@]+")


class GitTransport(NamedTuple):
    """How a repository is reached: what git is told by its environment."""

    environment: Mapping[str, str]


def build_transport(
    url: str,
    credentials: Mapping[str, SecretBytes],
    files: MemoryFiles,
    proxy: Mapping[str, SecretBytes] = MappingProxyType({}),
) -> GitTransport:
    """How a repository is reached with the keys of a Secret.

    Args:
        proxy: `address`, `username` and `password` of one that leads there; empty for none.

    Raises:
        ToolError: they do not go together.
    """
    scheme = url.partition(":")[0]
    held = {key: value.reveal() for key, value in credentials.items()}
    settings: list[tuple[str, str]] = [("http.sslVerify", "true"), ("credential.helper", "")]
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": scheme,
        "SSH_AUTH_SOCK": "",
        "HOME": NONEXISTENT_HOME,
    }
    if scheme == "ssh":
        environment["GIT_SSH_COMMAND"] = _build_ssh_command(held, files)
    elif token := held.get("bearerToken"):
        settings.append(("http.extraHeader", f"Authorization: Bearer {token.decode().strip()}"))
    elif "username" in held or "password" in held:
        pair = base64.b64encode(held.get("username", b"") + b":" + held.get("password", b"")).decode()
        settings.append(("http.extraHeader", f"Authorization: Basic {pair}"))
    if authority := held.get("ca.crt") or held.get("caFile"):
        settings.append(("http.sslCAInfo", files.write_file("ca.crt", authority, False)))
    if "tls.crt" in held and "tls.key" in held:
        settings.append(("http.sslCert", files.write_file("tls.crt", held["tls.crt"], True)))
        settings.append(("http.sslKey", files.write_file("tls.key", held["tls.key"], True)))
    if proxy:
        settings.append(("http.proxy", _build_proxy_url(proxy)))
    environment["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, text) in enumerate(settings):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": text}
    return GitTransport(environment)


def _build_proxy_url(credentials: Mapping[str, SecretBytes]) -> str:
    address, name, password = (
        credentials[key].reveal().decode("utf-8", "replace").strip() if key in credentials else ""
        for key in ("address", "username", "password")
    )
    if not PROXY_URL.fullmatch(address):
        raise ToolError("the Secret of the proxy has no `address` that begins with http:// or https://")
    scheme, _, rest = address.partition("://")
    who = f"{quote(name, safe='')}:{quote(password, safe='')}@" if name else ""
    return f"{scheme}://{who}{rest}"


def _build_ssh_command(credentials: Mapping[str, bytes], files: MemoryFiles) -> str:
    lacking = [key for key in ("identity", "known_hosts") if key not in credentials]
    if lacking:
        raise ToolError(f"the Secret for ssh has no `{lacking[0]}`")
    if "password" in credentials:
        raise ToolError("the Secret's key for ssh has a password, which is not supported yet")
    key, hosts = (
        files.write_file("identity", credentials["identity"], True),
        files.write_file("known_hosts", credentials["known_hosts"], False),
    )
    options = [f"UserKnownHostsFile={hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"]
    words = ["ssh", "-F", os.devnull, "-i", key]
    return shlex.join([*words, *(part for option in options for part in ("-o", option))])
