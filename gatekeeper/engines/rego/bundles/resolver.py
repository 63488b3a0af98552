"""Policy bundles, pinned by digest: a folder, a Git repository at a revision, or an OPA bundle file.

A bundle whose digest differs from its pin is refused until a user has reviewed it and changed the pin. So neither the
server nor the cache of fetched bundles has to be trusted.

Source: https://www.openpolicyagent.org/docs/management-bundles (file format, signatures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from gatekeeper.config import CONFIG_FILE
from gatekeeper.engines import policy_files
from gatekeeper.engines.rego import loader
from gatekeeper.engines.rego.bundles import bundle_files
from gatekeeper.engines.rego.bundles.bundle_files import Bundle, BundleFiles
from gatekeeper.engines.rego.model import PolicySet, RegoModule, ResolvedBundles
from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Gap

BUNDLE_FIELDS = ("source", "digest", "key")
DIGEST_PATTERN = compile_lazily(r"sha256:[0-9a-f]{64}")
MANIFEST_FILE, SIGNATURES_FILE = ".manifest", ".signatures.json"
DATA_FILES = ("data.json", "data.yaml", "data.yml")


def resolve(root: Path, entries: Sequence[Mapping[str, str]]) -> ResolvedBundles:
    """Reads and verifies all bundles of a config, without fetching any.

    A bundle that is missing, differs from its pin, or is not signed by its key is a fatal gap.
    """
    resolved = ResolvedBundles([], [], [])
    for entry in entries:
        try:
            _add_bundle(root, parse_bundle(entry), resolved)
        except PolicyError as error:
            reason = f"a policy bundle could not be evaluated: {error}"
            resolved.gaps.append(Gap(CONFIG_FILE, reason, is_fatal=True))
    return resolved


def _add_bundle(root: Path, bundle: Bundle, resolved: ResolvedBundles) -> None:
    if bundle.is_archive:
        resolved.policy_sets.append(_build_policy_set(bundle, _read_verified_archive(root, bundle)))
    elif bundle.is_git:
        folder = bundle_files.find_cached(bundle)
        if folder is None:
            files = bundle_files.read_git_revision(root, bundle, should_fetch=False)
            _verify_digest(bundle, bundle_files.compute_digest(files))
            folder = bundle_files.store_in_cache(files, bundle.digest)
        resolved.folders.append(str(folder))
    else:
        files = bundle_files.read_folder(root / bundle.source, bundle.source)
        _verify_digest(bundle, bundle_files.compute_digest(files))
        resolved.folders.append(bundle.source)


def pull(root: Path, bundle: Bundle) -> str:
    """Fetches a bundle if necessary, and returns its digest, even if it differs from the pin.

    Raises:
        PolicyError: the bundle cannot be read or fetched.
    """
    if bundle.is_archive:
        return bundle_files.compute_file_digest(bundle_files.read_file(root / bundle.source, bundle.source))
    if not bundle.is_git:
        return bundle_files.compute_digest(bundle_files.read_folder(root / bundle.source, bundle.source))
    files = bundle_files.read_git_revision(root, bundle, should_fetch=True)
    digest = bundle_files.compute_digest(files)
    bundle_files.store_in_cache(files, digest)
    return digest


def parse_bundle(entry: Mapping[str, str]) -> Bundle:
    """Parses an entry of `policies.bundles`.

    Raises:
        PolicyError: the entry is malformed.
    """
    for field in entry.keys() - set(BUNDLE_FIELDS):
        raise PolicyError(f"`policies.bundles`: unknown field `{field}`; the fields are {', '.join(BUNDLE_FIELDS)}")
    bundle = Bundle(*(entry.get(field, "") for field in BUNDLE_FIELDS))
    if not bundle.source:
        raise PolicyError("`policies.bundles`: an entry has no `source`")
    if not DIGEST_PATTERN.fullmatch(bundle.digest):
        hint = f"`gatekeeper policy pull` prints it for {bundle.source}"
        raise PolicyError(f"`policies.bundles`: {bundle.source} needs a digest (sha256:…); {hint}")
    if bundle.key and not bundle.is_archive:
        raise PolicyError(f"`policies.bundles`: only OPA bundle files are signed; remove the `key` of {bundle.source}")
    return bundle


def _verify_digest(bundle: Bundle, digest: str) -> None:
    if digest != bundle.digest:
        hint = "review what changed, then change the pin in `policies.bundles`"
        raise PolicyError(f"{bundle.source} has the digest {digest}, which differs from its pin; {hint}")


def _read_verified_archive(root: Path, bundle: Bundle) -> BundleFiles:
    content = bundle_files.read_file(root / bundle.source, bundle.source)
    _verify_digest(bundle, bundle_files.compute_file_digest(content))
    files = bundle_files.unpack(content, bundle.source)
    if bundle.key:
        # Imported here because loading the cryptography takes longer than most checks, and few bundles are signed.
        from gatekeeper.engines.rego.bundles import bundle_signatures

        signatures = files.get(SIGNATURES_FILE)
        if signatures is None:
            raise PolicyError(f"{bundle.source}: not signed, but the config names a key for it")
        signed_files = {name: text for name, text in files.items() if name != SIGNATURES_FILE}
        key = bundle_files.read_file(root / bundle.key, bundle.key)
        bundle_signatures.verify_bundle(signed_files, signatures, key, bundle.source)
    return files


def _build_policy_set(bundle: Bundle, files: BundleFiles) -> PolicySet:
    """Builds the modules and data of an OPA bundle."""
    manifest = policy_files.parse_mapping(files.get(MANIFEST_FILE, b"{}"), f"{bundle.source}:{MANIFEST_FILE}")
    modules: list[RegoModule] = []
    data: dict[str, Any] = {}
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.suffix == ".rego":
            module = loader.parse_module(files[name].decode("utf-8", "replace"), f"{bundle.source}:{name}")
            versions = manifest.get("file_rego_versions") or {}
            version = versions.get(f"/{name}", manifest.get("rego_version"))
            modules.append(module._replace(is_v0=version == 0) if version is not None else module)
        elif path.name in DATA_FILES:
            # The folder of a data file is the path of its values below `data`.
            target = data
            for step in path.parts[:-1]:
                target = target.setdefault(step, {})
            target.update(policy_files.parse_mapping(files[name], f"{bundle.source}:{name}"))
    if not modules:
        raise PolicyError(f"{bundle.source}: contains no policy")
    return PolicySet(tuple(module for module in modules if not module.is_test), data)
