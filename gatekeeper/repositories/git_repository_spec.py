"""Parses a Flux GitRepository, in one form for all API versions; unsupported fields are rejected by name.

Source: source-controller `api/{v1beta1,v1beta2,v1}/gitrepository_types.go`, `docs/spec/v1/gitrepositories.md`.
"""

from __future__ import annotations

import re
from typing import Any

from gatekeeper.kube.decoder import FieldReader
from gatekeeper.named_tuple import NamedTuple

GROUP = "source.toolkit.fluxcd.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
# Flux itself supports http, https and ssh; `file` is for tests and air-gapped mirrors.
REPOSITORY_URL = re.compile(r"(https?|ssh|file)://[^\s]+")
DEFAULT_BRANCH = "master"
DEFAULT_SECONDS = 60.0


class GitReference(NamedTuple):
    """The commit that is checked out; of several fields that are set, the last one counts."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    name: str = ""
    commit: str = ""


class SignatureVerification(NamedTuple):
    """What must be signed (`HEAD`, `Tag`, `TagAndHEAD`), and the Secret with the trusted public keys."""

    mode: str
    secret_name: str


class RepositoryInclude(NamedTuple):
    """A folder of another GitRepository in the same namespace, and the folder that its files are copied to."""

    repository_name: str
    from_path: str
    to_path: str


class GitRepository(NamedTuple):
    """A Git repository that is fetched.

    Attributes:
        secret_name: the Secret with credentials; empty for none.
        ignore: the excluded files, in the format of `.gitignore`; None for the default list.
        timeout, interval: seconds.
        is_whole: whether no file is excluded, not even by `.sourceignore`.
        has_submodules: whether submodules are fetched.
        proxy_secret_name: the Secret with the proxy; empty for none.
        sparse_folders: the only folders that are kept; empty for all.
    """

    namespace: str
    name: str
    url: str
    ref: GitReference
    secret_name: str = ""
    ignore: str | None = None
    verification: SignatureVerification | None = None
    timeout: float = DEFAULT_SECONDS
    interval: float = DEFAULT_SECONDS
    is_suspended: bool = False
    includes: tuple[RepositoryInclude, ...] = ()
    is_whole: bool = False
    has_submodules: bool = False
    proxy_secret_name: str = ""
    sparse_folders: tuple[str, ...] = ()


def parse_git_repository(value: Any, namespace: str = "default") -> GitRepository:
    """Parses a GitRepository.

    Args:
        namespace: the namespace of an object that names none.

    Raises:
        FieldError: a field is not valid, or is not supported.
    """
    whole = FieldReader(value)
    whole.read_head(GROUP, VERSIONS, "GitRepository")
    metadata, spec = whole.read_object("metadata") or FieldReader({}), whole.read_object("spec")
    if spec is None:
        whole.reject_field("spec", "is missing")
    url = spec.read_string("url")
    if not REPOSITORY_URL.fullmatch(url):
        spec.reject_field(
            "url", "must begin with https://, http:// or ssh:// (write ssh://git@host/path for git@host:path)"
        )
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        spec.reject_field("url", "contains a password: move it to a Secret, and name that in `secretRef`")
    # Deprecated, without effect.
    spec.has_field("gitImplementation")
    spec.read_choice("provider", ("generic",), "generic")
    secret, verify, proxy = (spec.read_object(name) for name in ("secretRef", "verify", "proxySecretRef"))
    if proxy is not None and url.startswith("ssh://"):
        spec.reject_field("proxySecretRef", "is supported for http and https only")
    parsed = GitRepository(
        namespace=metadata.read_string("namespace", "") or namespace,
        name=metadata.read_string("name"),
        url=url,
        ref=_parse_reference(spec.read_object("ref")),
        secret_name=secret.read_string("name") if secret else "",
        ignore=spec.read_string("ignore") if spec.has_field("ignore") else None,
        verification=_parse_verification(verify) if verify else None,
        timeout=spec.read_duration("timeout", DEFAULT_SECONDS),
        interval=spec.read_duration("interval", DEFAULT_SECONDS),
        is_suspended=spec.read_bool("suspend"),
        includes=tuple(map(_parse_include, spec.read_objects("include"))),
        has_submodules=spec.read_bool("recurseSubmodules"),
        proxy_secret_name=proxy.read_string("name") if proxy else "",
        sparse_folders=spec.read_string_list("sparseCheckout"),
    )
    spec.reject_unknown()
    return parsed


def _parse_include(fields: FieldReader) -> RepositoryInclude:
    repository = fields.read_object("repository")
    if repository is None:
        fields.reject_field("repository", "is missing")
    name = repository.read_string("name")
    source, target = fields.read_string("fromPath", "") or ".", fields.read_string("toPath", "") or name
    fields.reject_unknown()
    for field, text in (("fromPath", source), ("toPath", target)):
        if text.startswith("/") or ".." in text.split("/"):
            fields.reject_field(field, "must be a relative path inside the repository")
    return RepositoryInclude(name, source, target)


def _parse_reference(fields: FieldReader | None) -> GitReference:
    if fields is None:
        return GitReference(DEFAULT_BRANCH)
    reference = GitReference(*(fields.read_string(name, "") for name in GitReference._fields))
    fields.reject_unknown()
    for name, text in zip(GitReference._fields, reference, strict=True):
        if text.startswith("-") or any(character in text for character in "\n\0"):
            fields.reject_field(name, "is not a valid Git reference name")
    return reference if any(reference) else GitReference(DEFAULT_BRANCH)


def _parse_verification(fields: FieldReader) -> SignatureVerification:
    mode = fields.read_choice("mode", ("head", "HEAD", "Tag", "TagAndHEAD"), "HEAD")
    secret = fields.read_object("secretRef")
    if secret is None:
        fields.reject_field("secretRef", "is missing")
    verification = SignatureVerification("HEAD" if mode == "head" else mode, secret.read_string("name"))
    fields.reject_unknown()
    return verification
