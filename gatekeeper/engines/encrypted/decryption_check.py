"""Checks that every encrypted value can be decrypted with the given keys. No value is kept or shown."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.engines.encrypted import candidates
from gatekeeper.engines.findings import build_file_finding
from gatekeeper.engines.protocol import EngineContext, EngineResult, EngineScope
from gatekeeper.errors import GatekeeperError, SecretFileError, ToolError
from gatekeeper.model import FieldPath, Finding, Gap, Resource
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sops import sops_cli

STEP = "decrypting"
SCOPE: EngineScope = "repository"


def evaluate(context: EngineContext) -> EngineResult:
    """Decrypts every value that has a key; values without a key are gaps. Does nothing if no keys are given.

    Raises:
        SecretFileError: a private key cannot be read.
        ToolError: sops is missing, and there are SOPS files.
    """
    if context.private_keys is None:
        return EngineResult()
    tree, toolchain = context.shard_files, context.config.toolchain
    findings: list[Finding] = []
    gaps: list[Gap] = []
    sealed_secrets = [resource for resource in context.resources if resource.ref.kind == "SealedSecret"]
    _check_sealed_secrets(sealed_secrets, context.private_keys, findings, gaps)
    files = [
        file
        for file, _, sops_file in candidates.find_candidates(tree, context.parsed_files)
        if sops_file is not None and sops_file.metadata
    ]

    def try_decrypt(file: str) -> GatekeeperError | None:
        content = tree.read_file(file)
        assert isinstance(content, bytes)
        try:
            sops_cli.decrypt(content, sops_cli.resolve_target(tree.root / file, toolchain=toolchain))
        except (SecretFileError, ToolError) as error:
            return error
        return None

    if files:
        toolchain.find("sops")
    # It loads `logging`, and few runs decrypt.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(context.jobs, 1)) as pool:
        for file, error in zip(files, pool.map(try_decrypt, files), strict=True):
            if error is None:
                continue
            reason = str(error).removeprefix(f"{sops_cli.resolve_target(tree.root / file).file}: ")
            if isinstance(error, (sops_cli.NoDecryptionKeyError, ToolError)):
                gaps.append(Gap(file, f"could not be decrypted: {reason}", is_fatal=True))
            else:
                hint = "restore the file from Git history, or encrypt it again"
                findings.append(build_file_finding(file, "sops/not-opened", reason, (1, 1), hint))
    return EngineResult(findings, gaps)


def _check_sealed_secrets(
    resources: Sequence[Resource],
    private_keys: Sequence[tuple[str, SecretBytes]],
    findings: list[Finding],
    gaps: list[Gap],
) -> None:
    if not resources:
        return
    # Imported here: only `check --open` needs cryptography, which loads slowly.
    from gatekeeper.sealedsecrets import keyring, sealedsecret

    keys = keyring.load_keys([(name, text.reveal()) for name, text in private_keys]) if private_keys else []
    for resource in resources:
        for key, error, is_key_missing in sealedsecret.find_faults(resource.value, keys):
            path: FieldPath = ("spec", "encryptedData", key)
            if is_key_missing:
                cause = error if keys else "give its private key with --key"
                reason = f"{resource.ref}: `{key}` could not be decrypted: {cause}"
                gaps.append(Gap(resource.origin.file, reason, is_fatal=True))
            else:
                place = resource.origin.find_location(path, key=True)
                hint = "seal the value again"
                finding = Finding(
                    rule="sealed/not-opened",
                    severity="error",
                    message=f"`{key}` {error}",
                    location=place,
                    resource_ref=resource.ref,
                    field_path=path,
                    hint=hint,
                    location_precision="field",
                )
                findings.append(finding)
