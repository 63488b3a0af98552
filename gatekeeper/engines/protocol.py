"""The interface of a policy engine: the input of an engine, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol

from gatekeeper.config import Config
from gatekeeper.engines.rego.model import ResolvedBundles
from gatekeeper.host.cache import Cache
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.workspace.tree import ParsedFile, Tree

# "resources": checks each target separately, also objects that are in no file (admission requests, rendered charts).
# "repository": checks files, or resources together; runs on whole repositories only, and its findings are kept where
# they are in a file of the shard.
EngineScope = Literal["resources", "repository"]
ResourceGroup = tuple[str, list[Resource]]
PrivateKeys = Sequence[tuple[str, SecretBytes]]


class EngineContext(NamedTuple):
    """The input of all engines in one run.

    Attributes:
        tree: all files of the run.
        shard_files: the files of `tree` that belong to the shard of this run; all of them without a shard.
        parsed_files: the parsed YAML and JSON files of `tree`.
        resource_groups: all rendered resources, each group with the file or folder that it was rendered from.
        resources: all rendered resources; definitions and policies among them count for every target.
        targets: the Kubernetes resources to check: those of the shard.
        terraform_targets: the Terraform resources to check.
        config: the config; its policy folders include those of policy bundles.
        bundles: the verified policy bundles.
        gaps: what could not be read or rendered before the engines ran.
        jobs: the number of threads to use.
        cache: results of earlier runs; None without a cache.
        read_base_file: returns the content of a changed file before the change, None for files that are new or did not
            change; None if no change is checked.
        private_keys: private keys of sealed-secrets by name, to decrypt with; None if nothing is decrypted.
        target_namespaces: the namespaces that Argo CD applies a resource group to, by its name, for objects that name
            none; groups that are missing go to `default`.
        is_validated_by_server: whether an API server validates the targets itself: they come from it, or are applied to
            it next.
    """

    tree: Tree
    shard_files: Tree
    parsed_files: Sequence[ParsedFile]
    resource_groups: Sequence[ResourceGroup]
    resources: Sequence[Resource]
    targets: Sequence[Resource]
    terraform_targets: Sequence[Resource]
    config: Config
    bundles: ResolvedBundles
    gaps: Sequence[Gap] = ()
    jobs: int = 1
    cache: Cache | None = None
    read_base_file: Callable[[str], bytes | None] | None = None
    private_keys: PrivateKeys | None = None
    target_namespaces: Mapping[str, Sequence[str]] = MappingProxyType({})
    is_validated_by_server: bool = False


class EngineResult(NamedTuple):
    """The findings of one engine, and what it could not check.

    Attributes:
        gaps: targets, or parts of them, that could not be checked.
        global_gaps: policies that could not be evaluated for any target.
        checked_count: the number of targets that the engine checked completely, for the coverage of the verdict; 0 for
            engines that do not count.
        engine: name and version for the report; None for engines that are part of Gatekeeper.
        policy_digests: one digest per policy, or one of all policies.
        is_cacheable: whether the same policies return the same result for the same targets at any time of the day.
    """

    findings: Sequence[Finding] = ()
    gaps: Sequence[Gap] = ()
    global_gaps: Sequence[Gap] = ()
    checked_count: int = 0
    engine: tuple[str, str] | None = None
    policy_digests: Sequence[str] = ()
    is_cacheable: bool = True


class Engine(Protocol):
    """A policy engine: a module with these names, listed in `gatekeeper.engines.registry`."""

    @property
    def STEP(self) -> str:
        """What the progress bar shows while the engine runs, such as `checking schemas`."""

    @property
    def SCOPE(self) -> EngineScope:
        """Whether the engine checks single resources or the repository as a whole."""

    def evaluate(self, context: EngineContext) -> EngineResult:
        """Checks the targets, or the repository.

        Raises:
            UsageError: the config names something that does not exist.
        """
