"""Sealed files, opened with the keys at hand: whether every value is what was sealed. No value is kept or shown."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gatekeeper.engines.encrypted import candidates
from gatekeeper.engines.encrypted.sops_files import build_finding
from gatekeeper.errors import GateError, SealError, ToolError
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.model import FieldPath, Finding, Gap, Resource
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree


def evaluate(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    resources: Sequence[Resource],
    private_keys: Sequence[tuple[str, SecretBytes]],
    jobs: int,
    toolchain: Toolchain,
) -> tuple[list[Finding], list[Gap]]:
    """What does not open though its key is at hand; and, as gaps, what no key is there for.

    Args:
        private_keys: private keys of sealed-secrets, by name. Those of SOPS are found as sops finds them.
        toolchain: has the sops to use.

    Raises:
        SealError: a text with keys cannot be used.
        ToolError: sops is not there, and there are SOPS files.
    """
    findings: list[Finding] = []
    gaps: list[Gap] = []
    _check_sealed_secrets([one for one in resources if one.ref.kind == "SealedSecret"], private_keys, findings, gaps)
    files = [
        file
        for file, _, found in candidates.find_candidates(tree, parsed_files)
        if found is not None and found.metadata
    ]

    def opened(file: str) -> GateError | None:
        content = tree.read_file(file)
        assert isinstance(content, bytes)
        try:
            sops_cli.decrypt(content, sops_cli.resolve_target(tree.root / file, toolchain=toolchain))
        except (SealError, ToolError) as error:
            return error
        return None

    if files:
        toolchain.find("sops")
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        for file, error in zip(files, pool.map(opened, files), strict=True):
            if error is None:
                continue
            reason = str(error).removeprefix(f"{sops_cli.resolve_target(tree.root / file).file}: ")
            if isinstance(error, (sops_cli.NoDecryptionKeyError, ToolError)):
                gaps.append(Gap(file, f"could not be opened: {reason}", is_fatal=True))
            else:
                hint = "take the file from Git's history, or encrypt it again"
                findings.append(build_finding(file, "sops/not-opened", reason, (1, 1), hint))
    return findings, gaps


def _check_sealed_secrets(
    resources: Sequence[Resource],
    private_keys: Sequence[tuple[str, SecretBytes]],
    findings: list[Finding],
    gaps: list[Gap],
) -> None:
    if not resources:
        return
    from gatekeeper.sealedsecrets import keyring, sealedsecret

    keys = keyring.load_keys([(name, text.reveal()) for name, text in private_keys]) if private_keys else []
    for resource in resources:
        for key, error, lacks_key in sealedsecret.find_faults(resource.value, keys):
            path: FieldPath = ("spec", "encryptedData", key)
            if lacks_key:
                reason = f"{resource.ref}: `{key}` could not be opened: {error if keys else 'give its key with --key'}"
                gaps.append(Gap(resource.origin.file, reason, is_fatal=True))
            else:
                place = resource.origin.find_location(path, key=True)
                hint = "seal the value again"
                found = Finding(
                    "sealed/not-opened", "error", f"`{key}` {error}", place, resource.ref, path, hint, "field"
                )
                findings.append(found)
