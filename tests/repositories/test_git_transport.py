"""What git reaches a repository with: credentials that only git sees, and no configuration of the user."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_fetch, git_transport
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.secret_value import SecretBytes
from tests.repositories.git_work import Work, source
from tests.servers.git_server import PASSWORD, USER, Host

HTTPS = "https://git.example/r.git"


def seal(values: Mapping[str, str]) -> dict[str, SecretBytes]:
    return {key: SecretBytes(text.encode()) for key, text in values.items()}


def read_settings(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The configuration that the real git has in this environment."""
    command = ["git", "-C", str(folder), "config", "--list", "-z"]
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    pairs = (entry.partition("\n") for entry in done.stdout.decode().split("\0") if entry)
    return {key: text for key, _, text in pairs}


def test_git_has_no_configuration_but_that_of_the_transport(
    handed: MemoryFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text('[url "https://evil.example/"]\n  insteadOf = https://git.example/\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    environment = git_transport.build_transport(HTTPS, {}, handed).environment
    assert read_settings(environment, tmp_path) == {"http.sslverify": "true", "credential.helper": ""}
    assert (environment["GIT_ALLOW_PROTOCOL"], environment["GIT_TERMINAL_PROMPT"]) == ("https", "0")
    assert environment["SSH_AUTH_SOCK"] == "" and not Path(environment["HOME"]).exists()


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"bearerToken": " token \n", "username": "u"}, "Authorization: Bearer token"),
        ({"username": "u", "password": "p:x"}, f"Authorization: Basic {base64.b64encode(b'u:p:x').decode()}"),
        ({"password": "p"}, f"Authorization: Basic {base64.b64encode(b':p').decode()}"),
    ],
    ids=["token", "name and password", "password alone"],
)
def test_credentials_are_a_header_and_never_a_part_of_the_url(
    values: dict[str, str], header: str, handed: MemoryFiles, tmp_path: Path
) -> None:
    transport = git_transport.build_transport(HTTPS, seal(values), handed)
    assert read_settings(transport.environment, tmp_path)["http.extraheader"] == header


def test_certificates_and_keys_are_files_that_end_with_the_transport(tmp_path: Path) -> None:
    files = MemoryFiles()
    keys = seal({"ca.crt": "CA", "tls.crt": "CERT", "tls.key": "KEY"})
    settings = read_settings(git_transport.build_transport(HTTPS, keys, files).environment, tmp_path)
    paths = [Path(settings[f"http.{name}"]) for name in ("sslcainfo", "sslcert", "sslkey")]
    assert [path.read_text() for path in paths] == ["CA", "CERT", "KEY"]
    assert paths[2].is_relative_to("/dev/shm") and paths[2].stat().st_mode & 0o077 == 0
    files.close()
    assert not any(path.exists() for path in paths)


def test_a_key_without_its_certificate_is_not_used(handed: MemoryFiles, tmp_path: Path) -> None:
    transport = git_transport.build_transport(HTTPS, seal({"tls.key": "KEY"}), handed)
    assert "http.sslkey" not in read_settings(transport.environment, tmp_path)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "has no `identity`"),
        ({"identity": "k"}, "has no `known_hosts`"),
        ({"identity": "k", "known_hosts": "h", "password": "p"}, "has a passphrase"),
    ],
)
def test_ssh_needs_a_key_without_password_and_the_host_keys(
    values: dict[str, str], reason: str, handed: MemoryFiles
) -> None:
    with pytest.raises(ToolError, match=reason):
        git_transport.build_transport("ssh://git@git.example/r", seal(values), handed)


def test_ssh_trusts_only_the_host_keys_of_the_secret(handed: MemoryFiles) -> None:
    keys = seal({"identity": "KEY", "known_hosts": "HOSTS"})
    command = git_transport.build_transport("ssh://git@git.example/r", keys, handed).environment["GIT_SSH_COMMAND"]
    assert "StrictHostKeyChecking=yes" in command and "IdentitiesOnly=yes" in command and "-F /dev/null" in command
    assert "KEY" not in command and "HOSTS" not in command


@pytest.mark.parametrize("address", ["", "socks5://x", "http://u:p@x", "http://x y", "file:///etc"])
def test_a_proxy_that_is_no_http_address_is_refused(address: str, handed: MemoryFiles) -> None:
    with pytest.raises(ToolError, match="no `address`") as caught:
        git_transport.build_transport(HTTPS, {}, handed, seal({"address": address, "password": "hidden-word"}))
    assert "hidden-word" not in str(caught.value)


def test_name_and_password_of_a_proxy_are_quoted(handed: MemoryFiles, tmp_path: Path) -> None:
    proxy = seal({"address": "http://proxy.example:3128", "username": "a@b", "password": "p/:@"})
    transport = git_transport.build_transport(HTTPS, {}, handed, proxy)
    settings = read_settings(transport.environment, tmp_path)
    assert settings["http.proxy"] == "http://a%40b:p%2F%3A%40@proxy.example:3128"


def test_proxy_gets_its_user_name_and_password(work: Work, host: Host, handed: MemoryFiles, tmp_path: Path) -> None:
    work.commit()
    one = source("http://git.example.invalid/shop/.git", ref={"branch": "main"}, proxySecretRef={"name": "p"})
    keys = {"username": SecretBytes(USER.encode()), "password": SecretBytes(PASSWORD.encode())}
    proxy = {
        "address": SecretBytes(host.url.encode()),
        "username": SecretBytes(b"me"),
        "password": SecretBytes(b"of the proxy"),
    }
    way = git_transport.build_transport(one.url, keys, handed, proxy)
    revision = repositories_revision.resolve_reference(one.ref, git_fetch.list_refs(one, way))
    assert (git_fetch.checkout_commit(one, revision, way, tmp_path / "kept") / "a.yaml").is_file()
    assert all("http://git.example.invalid/" in line for line in host.seen)
    with pytest.raises(ToolError, match="no `address`"):
        git_transport.build_transport(one.url, keys, handed, {"address": SecretBytes(b"socks5://x")})
