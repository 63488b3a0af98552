"""The environment that git reaches a repository with: credentials, trusted certificates, and proxy.

The configuration of the user is not used. Secrets reach git through files in memory or its environment, never through
an argument. Source: source-controller `docs/spec/v1/gitrepositories.md` (secret reference, proxy).
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

# A home folder without `.netrc` and SSH configuration.
NONEXISTENT_HOME = "/nonexistent"
PROXY_URL = re.compile(r"https?://[^\s@]+")


class GitTransport(NamedTuple):
    """The environment variables that git reaches a repository with."""

    environment: Mapping[str, str]


def build_transport(
    url: str,
    credentials: Mapping[str, SecretBytes],
    files: MemoryFiles,
    proxy: Mapping[str, SecretBytes] = MappingProxyType({}),
) -> GitTransport:
    """The transport for a URL.

    Args:
        credentials: the values of the Secret in `secretRef`, by key; empty for none.
        files: holds certificates and keys while the transport is used.
        proxy: the values of the Secret in `proxySecretRef`: `address`, `username`, `password`; empty for none.

    Raises:
        ToolError: the Secret has not the keys that the URL needs.
    """
    scheme = url.partition(":")[0]
    values = {key: value.reveal() for key, value in credentials.items()}
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
        environment["GIT_SSH_COMMAND"] = _build_ssh_command(values, files)
    elif token := values.get("bearerToken"):
        settings.append(("http.extraHeader", f"Authorization: Bearer {token.decode().strip()}"))
    elif "username" in values or "password" in values:
        basic = base64.b64encode(values.get("username", b"") + b":" + values.get("password", b"")).decode()
        settings.append(("http.extraHeader", f"Authorization: Basic {basic}"))
    if ca_certificate := values.get("ca.crt") or values.get("caFile"):
        settings.append(("http.sslCAInfo", files.write_file("ca.crt", ca_certificate, False)))
    if "tls.crt" in values and "tls.key" in values:
        settings.append(("http.sslCert", files.write_file("tls.crt", values["tls.crt"], True)))
        settings.append(("http.sslKey", files.write_file("tls.key", values["tls.key"], True)))
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
        raise ToolError("the proxy Secret has no `address` that begins with http:// or https://")
    scheme, _, rest = address.partition("://")
    user_info = f"{quote(name, safe='')}:{quote(password, safe='')}@" if name else ""
    return f"{scheme}://{user_info}{rest}"


def _build_ssh_command(credentials: Mapping[str, bytes], files: MemoryFiles) -> str:
    missing = [key for key in ("identity", "known_hosts") if key not in credentials]
    if missing:
        raise ToolError(f"the SSH Secret has no `{missing[0]}`: add it")
    if "password" in credentials:
        raise ToolError("the SSH key of the Secret has a passphrase, which is not supported: use a key without one")
    key, hosts = (
        files.write_file("identity", credentials["identity"], True),
        files.write_file("known_hosts", credentials["known_hosts"], False),
    )
    options = [f"UserKnownHostsFile={hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"]
    words = ["ssh", "-F", os.devnull, "-i", key]
    return shlex.join([*words, *(part for option in options for part in ("-o", option))])
