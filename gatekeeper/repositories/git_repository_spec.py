"""What a Flux GitRepository asks for, in one form for every API version; what is not supported is refused by name.

Source: source-controller `api/{v1beta1,v1beta2,v1}/gitrepository_types.go`, `docs/spec/v1/gitrepositories.md`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from gatekeeper.kube.decoder import FieldError, Fields

GROUP = "source.toolkit.fluxcd.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
# Files are what tests and air-gapped mirrors have; Flux itself takes the first three.
URL = re.compile(r"(https?|ssh|file)://[^\s]+")
DEFAULT_BRANCH = "master"
MINUTE = 60.0


class Ref(NamedTuple):
    """What is checked out; of several, the last that is there counts."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    name: str = ""
    commit: str = ""


class Verification(NamedTuple):
    """What must be signed (`HEAD`, `Tag`, `TagAndHEAD`), and the Secret with the keys of who may."""

    mode: str
    secret: str


class Include(NamedTuple):
    """A folder of another GitRepository of the same namespace, and where its files come to stand."""

    name: str
    source: str
    target: str


class GitRepository(NamedTuple):
    """A repository that is pulled.

    Attributes:
        secret: the name of the Secret with credentials; empty for none.
        ignore: which files are left out, as `.gitignore` has them; None for the usual ones.
        timeout, interval: seconds.
        is_whole: whether nothing of it is left out, whatever `.sourceignore` says.
        submodules: whether other repositories that it names are put into it.
        proxy: the name of the Secret with the proxy; empty for none.
        folders: which folders alone are wanted; none for all.
    """

    namespace: str
    name: str
    url: str
    ref: Ref
    secret: str = ""
    ignore: str | None = None
    verification: Verification | None = None
    timeout: float = MINUTE
    interval: float = MINUTE
    suspend: bool = False
    include: tuple[Include, ...] = ()
    is_whole: bool = False
    submodules: bool = False
    proxy: str = ""
    folders: tuple[str, ...] = ()


def read(value: Any, namespace: str = "default") -> GitRepository:
    """What a GitRepository asks for.

    Raises:
        FieldError: it is not valid, or asks for something that is not supported.
    """
    whole = Fields(value)
    group, _, version = whole.text("apiVersion").partition("/")
    if group != GROUP or version not in VERSIONS or whole.text("kind") != "GitRepository":
        raise FieldError(("apiVersion",), f"is no GitRepository of {GROUP}/{', '.join(VERSIONS)}")
    metadata, spec = whole.inner("metadata") or Fields({}), whole.inner("spec")
    if spec is None:
        whole.refuse("spec", "is missing")
    url = spec.text("url")
    if not URL.fullmatch(url):
        spec.refuse(
            "url", "must begin with https://, http:// or ssh:// (git@host:path is not one: write ssh://git@host/path)"
        )
    if ":" in url.partition("://")[2].partition("@")[0] and "@" in url:
        spec.refuse("url", "holds a password: put it into a Secret, and name that in `secretRef`")
    # It was about a library of Go that is long gone.
    spec.has("gitImplementation")
    spec.choice("provider", ("generic",), "generic")
    secret, verify, proxy = (spec.inner(name) for name in ("secretRef", "verify", "proxySecretRef"))
    if proxy is not None and url.startswith("ssh://"):
        spec.refuse("proxySecretRef", "is for http and https")
    found = GitRepository(
        metadata.text("namespace", "") or namespace,
        metadata.text("name"),
        url,
        _ref(spec.inner("ref")),
        secret.text("name") if secret else "",
        spec.text("ignore") if spec.has("ignore") else None,
        _verification(verify) if verify else None,
        spec.seconds("timeout", MINUTE),
        spec.seconds("interval", MINUTE),
        spec.flag("suspend"),
        tuple(map(_include, spec.each("include"))),
        submodules=spec.flag("recurseSubmodules"),
        proxy=proxy.text("name") if proxy else "",
        folders=spec.words("sparseCheckout"),
    )
    spec.end()
    return found


def _include(fields: Fields) -> Include:
    repository = fields.inner("repository")
    if repository is None:
        fields.refuse("repository", "is missing")
    name = repository.text("name")
    source, target = fields.text("fromPath", "") or ".", fields.text("toPath", "") or name
    fields.end()
    for field, text in (("fromPath", source), ("toPath", target)):
        if text.startswith("/") or ".." in text.split("/"):
            fields.refuse(field, "must be a path within the repository")
    return Include(name, source, target)


def _ref(fields: Fields | None) -> Ref:
    if fields is None:
        return Ref(DEFAULT_BRANCH)
    found = Ref(*(fields.text(name, "") for name in Ref._fields))
    fields.end()
    for name, text in zip(Ref._fields, found, strict=True):
        if text.startswith("-") or any(sign in text for sign in "\n\0"):
            fields.refuse(name, "is no name that Git takes")
    return found if any(found) else Ref(DEFAULT_BRANCH)


def _verification(fields: Fields) -> Verification:
    mode = fields.choice("mode", ("head", "HEAD", "Tag", "TagAndHEAD"), "HEAD")
    secret = fields.inner("secretRef")
    if secret is None:
        fields.refuse("secretRef", "is missing")
    found = Verification("HEAD" if mode == "head" else mode, secret.text("name"))
    fields.end()
    return found
