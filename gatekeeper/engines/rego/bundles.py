"""Policies that come as a bundle, pinned by digest: a folder, a Git repository at a revision, an OPA bundle file.

A digest says what is meant. What has another is refused until somebody has looked at it and changed the pin; so nothing
has to be trusted on the way: neither a server nor the folder in which fetched bundles are kept.
Source: https://www.openpolicyagent.org/docs/management-bundles (file format, signatures).
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines.rego import bundle_signatures, loader
from gatekeeper.engines.rego.loader import PolicySet
from gatekeeper.errors import PolicyError
from gatekeeper.host import git_export
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.model import Gap
from gatekeeper.workspace import documents

BUNDLE_FIELDS = ("source", "digest", "key")
GIT_PREFIX = "git+"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
MAX_BYTES = 50 * 1024 * 1024
MAX_FILES = 10_000
DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")
MANIFEST_FILE, SIGNATURES_FILE = ".manifest", ".signatures.json"
BundleFiles = Mapping[str, bytes]


class Bundle(NamedTuple):
    """One bundle as the config names it: where it comes from, its digest, and a public key (a file) that signed it."""

    source: str
    digest: str
    key: str

    @property
    def is_archive(self) -> bool:
        """Whether it is an OPA bundle file."""
        return self.source.endswith(ARCHIVE_SUFFIXES)


class ResolvedBundles(NamedTuple):
    """What bundles bring: folders for all engines, and sets of Rego with data; and those that cannot be used."""

    folders: list[str]
    policy_sets: list[PolicySet]
    gaps: list[Gap]


def resolve(root: Path, entries: Sequence[Mapping[str, str]]) -> ResolvedBundles:
    """All bundles of a config, verified; nothing is fetched.

    One that is not there, is another than its pin says, or is not signed by its key, is a gap.
    """
    done = ResolvedBundles([], [], [])
    for entry in entries:
        try:
            _add_bundle(root, parse_bundle(entry), done)
        except PolicyError as error:
            done.gaps.append(Gap(CONFIG_FILE, f"a policy bundle was not asked: {error}", is_fatal=True))
    return done


def _add_bundle(root: Path, bundle: Bundle, resolved: ResolvedBundles) -> None:
    if bundle.is_archive:
        resolved.policy_sets.append(_build_policy_set(bundle, _read_verified_archive(root, bundle)))
    elif bundle.source.startswith(GIT_PREFIX):
        resolved.folders.append(str(_ensure_cached(root, bundle, should_fetch=False)))
    else:
        _verify_digest(bundle, compute_digest(_read_folder(root, bundle)))
        resolved.folders.append(bundle.source)


def pull(root: Path, bundle: Bundle) -> str:
    """Fetches a bundle where it has to be fetched, and returns its digest, whatever the pin says.

    Raises:
        PolicyError: it cannot be had.
    """
    if bundle.is_archive:
        return f"sha256:{hashlib.sha256(_read_file(root / bundle.source, bundle)).hexdigest()}"
    if not bundle.source.startswith(GIT_PREFIX):
        return compute_digest(_read_folder(root, bundle))
    files = _read_from_git(root, bundle, should_fetch=True)
    digest = compute_digest(files)
    _store_in_cache(files, digest)
    return digest


def parse_bundle(entry: Mapping[str, str]) -> Bundle:
    """An entry of `policies.bundles`.

    Raises:
        PolicyError: it is malformed.
    """
    for field in entry.keys() - set(BUNDLE_FIELDS):
        raise PolicyError(f"`policies.bundles` knows no `{field}`; there are {', '.join(BUNDLE_FIELDS)}")
    bundle = Bundle(*(entry.get(field, "") for field in BUNDLE_FIELDS))
    if not bundle.source:
        raise PolicyError("an entry of `policies.bundles` needs a `source`")
    if not DIGEST_PATTERN.fullmatch(bundle.digest):
        hint = f"`gatekeeper policy pull` prints it for {bundle.source}"
        raise PolicyError(f"`policies.bundles`: {bundle.source} needs a digest (sha256:…); {hint}")
    if bundle.key and not bundle.is_archive:
        raise PolicyError(f"`policies.bundles`: only OPA bundle files are signed; {bundle.source} takes no `key`")
    return bundle


def compute_digest(files: BundleFiles) -> str:
    """A digest over names and contents, in the order of names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name]).hexdigest()
        whole.update(f"{content}  {name}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def _verify_digest(bundle: Bundle, digest: str) -> None:
    if digest != bundle.digest:
        how = "look at what changed, then change the pin in `policies.bundles`"
        raise PolicyError(f"{bundle.source} is another bundle than its pin says: it has {digest}; {how}")


def _read_folder(root: Path, bundle: Bundle) -> BundleFiles:
    start = root / bundle.source
    if not start.is_dir():
        raise PolicyError(f"{bundle.source}: no such folder; correct `policies.bundles`")
    found = sorted(path for path in start.rglob("*") if path.is_file() and ".git" not in path.relative_to(start).parts)
    return {path.relative_to(start).as_posix(): _read_file(path, bundle) for path in found}


def _read_file(path: Path, bundle: Bundle) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PolicyError(f"{bundle.source}: larger than {MAX_BYTES >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        raise PolicyError(f"{bundle.source}: cannot be read: {error.strerror or error}") from error


def _read_verified_archive(root: Path, bundle: Bundle) -> BundleFiles:
    content = _read_file(root / bundle.source, bundle)
    _verify_digest(bundle, f"sha256:{hashlib.sha256(content).hexdigest()}")
    files = _unpack(content, bundle.source)
    if bundle.key:
        held = files.get(SIGNATURES_FILE)
        if held is None:
            raise PolicyError(f"{bundle.source}: is not signed, but the config names a key for it")
        signed = {name: text for name, text in files.items() if name != SIGNATURES_FILE}
        bundle_signatures.verify_bundle(
            signed, held, _read_file(root / bundle.key, Bundle(bundle.key, "", "")), bundle.source
        )
    return files


def _unpack(content: bytes, name: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                size += member.size
                if size > MAX_BYTES or len(files) >= MAX_FILES:
                    raise PolicyError(f"{name}: holds more than {MAX_BYTES >> 20} MB or {MAX_FILES} files")
                held = archive.extractfile(member)
                path = PurePosixPath(member.name.lstrip("/"))
                if ".." in path.parts:
                    raise PolicyError(f"{name}: holds `{member.name}`, which leads out of it")
                files[path.as_posix()] = held.read() if held else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PolicyError(f"{name}: is no bundle that can be unpacked: {error}") from error
    return files


def _build_policy_set(bundle: Bundle, files: BundleFiles) -> PolicySet:
    """The modules and data of an OPA bundle."""
    manifest = _parse_mapping(bundle, MANIFEST_FILE, files.get(MANIFEST_FILE, b"{}"))
    version, versions = manifest.get("rego_version"), manifest.get("file_rego_versions") or {}
    modules = []
    data: dict[str, Any] = {}
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.suffix == ".rego":
            text = files[name].decode("utf-8", "replace")
            module = loader.parse_module(text, f"{bundle.source}:{name}")
            told = versions.get(f"/{name}", version)
            modules.append(module._replace(is_v0=told == 0) if told is not None else module)
        elif path.name in ("data.json", "data.yaml", "data.yml"):
            held = data
            for step in path.parts[:-1]:
                held = held.setdefault(step, {})
            held.update(_parse_mapping(bundle, name, files[name]))
    if not modules:
        raise PolicyError(f"{bundle.source}: holds no policy")
    return PolicySet(tuple(module for module in modules if not module.is_test), data)


def _parse_mapping(bundle: Bundle, name: str, text: bytes) -> dict[str, Any]:
    found, failure = documents.parse(text)
    value = documents.to_value(found[0]) if found and failure is None else None
    if not isinstance(value, dict):
        raise PolicyError(f"{bundle.source}: {name} is no JSON or YAML mapping")
    return value


def _ensure_cached(root: Path, bundle: Bundle, should_fetch: bool) -> Path:
    """The folder with a fetched bundle; what lies there is verified each time."""
    folder = _find_cache_folder() / bundle.digest.removeprefix("sha256:")
    if folder.is_dir() and compute_digest(_read_folder(folder, Bundle(".", "", ""))) == bundle.digest:
        return folder
    files = _read_from_git(root, bundle, should_fetch)
    _verify_digest(bundle, compute_digest(files))
    return _store_in_cache(files, bundle.digest)


def _find_cache_folder() -> Path:
    return user_cache_dir() / "bundles"


def _store_in_cache(files: BundleFiles, digest: str) -> Path:
    """Writes a bundle beside its place, then moves it there: others see all of it or nothing."""
    target = _find_cache_folder() / digest.removeprefix("sha256:")
    try:
        _find_cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_find_cache_folder()) as scratch:
            new = Path(scratch) / "new"
            for name, content in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if target.exists():
                target.rename(Path(scratch) / "old")
            new.rename(target)
    except OSError as error:
        raise PolicyError(f"a bundle cannot be kept in {target.parent}: {error.strerror or error}") from error
    return target


def _read_from_git(root: Path, bundle: Bundle, should_fetch: bool) -> BundleFiles:
    """The files of `git+REPOSITORY@REVISION`, or of a folder in it: `...//FOLDER`."""
    place, _, revision = bundle.source.removeprefix(GIT_PREFIX).rpartition("@")
    revision, _, inner = revision.partition("//")
    if not place or not revision:
        raise PolicyError(
            f"{bundle.source}: must look like git+../policies@v1.2.0 or git+https://host/x.git@v1//folder"
        )
    local = (root / place).resolve()
    if local.is_dir():
        content = git_export.archive_revision(local, revision)
    elif should_fetch:
        content = git_export.fetch_archive(place, revision)
    else:
        raise PolicyError(
            f"{bundle.source} is not here, and `check` fetches nothing; run `gatekeeper policy pull` first"
        )
    if content is None:
        raise PolicyError(f"{bundle.source}: Git does not give this revision; is the name right, can it be reached?")
    files = dict(_select_folder(_unpack(content, bundle.source), inner))
    if not files:
        raise PolicyError(f"{bundle.source}: there is no file in it")
    return files


def _select_folder(files: BundleFiles, folder: str) -> Iterator[tuple[str, bytes]]:
    start = f"{folder.strip('/')}/" if folder.strip("/") else ""
    yield from ((name.removeprefix(start), content) for name, content in files.items() if name.startswith(start))
