"""What a Flux GitRepository asks for, in one form for every API version; what is not supported is refused by name.

Source: source-controller `api/{v1beta1,v1beta2,v1}/gitrepository_types.go`, `docs/spec/v1/gitrepositories.md`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from gatekeeper.kube.decoder import FieldReader

GROUP = "source.toolkit.fluxcd.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
# Files are what tests and air-gapped mirrors have; Flux itself takes the first three.
REPOSITORY_URL = re.compile(r"(https?|ssh|file)://[^\s]+")
DEFAULT_BRANCH = "master"
DEFAULT_SECONDS = 60.0


class GitReference(NamedTuple):
    """What is checked out; of several, the last that is there counts."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    name: str = ""
    commit: str = ""


class SignatureVerification(NamedTuple):
    """What must be signed (`HEAD`, `Tag`, `TagAndHEAD`), and the Secret with the keys of who may."""

    mode: str
    secret_name: str


class RepositoryInclude(NamedTuple):
    """A folder of another GitRepository of the same namespace, and where its files come to stand."""

    repository_name: str
    from_path: str
    to_path: str


class GitRepository(NamedTuple):
    """A repository that is pulled.

    Attributes:
        secret_name: the name of the Secret with credentials; empty for none.
        ignore: which files are left out, as `.gitignore` has them; None for the usual ones.
        timeout, interval: seconds.
        is_whole: whether nothing of it is left out, whatever `.sourceignore` says.
        has_submodules: whether other repositories that it names are put into it.
        proxy_secret_name: the name of the Secret with the proxy; empty for none.
        sparse_folders: which folders alone are wanted; none for all.
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
    """What a GitRepository asks for.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    whole = FieldReader(value)
    whole.read_head(GROUP, VERSIONS, "GitRepository")
    metadata, spec = whole.read_object("metadata") or FieldReader({}), whole.read_object("spec")
    if spec is None:
        whole.reject_field("spec", "is missing")
    url = spec.read_string("url")
    if not REPOSITORY_URL.fullmatch(url):
        spec.reject_field(
            "url", "must begin with https://, http:// or ssh:// (git@host:path is not one: write ssh://git@host/path)"
        )
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        spec.reject_field("url", "holds a password: put it into a Secret, and name that in `secretRef`")
    # It was about a library of Go that is long gone.
    spec.has_field("gitImplementation")
    spec.read_choice("provider", ("generic",), "generic")
    secret, verify, proxy = (spec.read_object(name) for name in ("secretRef", "verify", "proxySecretRef"))
    if proxy is not None and url.startswith("ssh://"):
        spec.reject_field("proxySecretRef", "is for http and https")
    found = GitRepository(
        metadata.read_string("namespace", "") or namespace,
        metadata.read_string("name"),
        url,
        _parse_reference(spec.read_object("ref")),
        secret.read_string("name") if secret else "",
        spec.read_string("ignore") if spec.has_field("ignore") else None,
        _parse_verification(verify) if verify else None,
        spec.read_duration("timeout", DEFAULT_SECONDS),
        spec.read_duration("interval", DEFAULT_SECONDS),
        spec.read_bool("suspend"),
        tuple(map(_parse_include, spec.read_objects("include"))),
        has_submodules=spec.read_bool("recurseSubmodules"),
        proxy_secret_name=proxy.read_string("name") if proxy else "",
        sparse_folders=spec.read_string_list("sparseCheckout"),
    )
    spec.reject_unknown()
    return found


def _parse_include(fields: FieldReader) -> RepositoryInclude:
    repository = fields.read_object("repository")
    if repository is None:
        fields.reject_field("repository", "is missing")
    name = repository.read_string("name")
    source, target = fields.read_string("fromPath", "") or ".", fields.read_string("toPath", "") or name
    fields.reject_unknown()
    for field, text in (("fromPath", source), ("toPath", target)):
        if text.startswith("/") or ".." in text.split("/"):
            fields.reject_field(field, "must be a path within the repository")
    return RepositoryInclude(name, source, target)


def _parse_reference(fields: FieldReader | None) -> GitReference:
    if fields is None:
        return GitReference(DEFAULT_BRANCH)
    found = GitReference(*(fields.read_string(name, "") for name in GitReference._fields))
    fields.reject_unknown()
    for name, text in zip(GitReference._fields, found, strict=True):
        if text.startswith("-") or any(sign in text for sign in "\n\0"):
            fields.reject_field(name, "is no name that Git takes")
    return found if any(found) else GitReference(DEFAULT_BRANCH)


def _parse_verification(fields: FieldReader) -> SignatureVerification:
    mode = fields.read_choice("mode", ("head", "HEAD", "Tag", "TagAndHEAD"), "HEAD")
    secret = fields.read_object("secretRef")
    if secret is None:
        fields.reject_field("secretRef", "is missing")
    found = SignatureVerification("HEAD" if mode == "head" else mode, secret.read_string("name"))
    fields.reject_unknown()
    return found
