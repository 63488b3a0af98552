"""The external programs that a repository needs: what `gatekeeper doctor` reports and `gatekeeper tools` installs."""

from __future__ import annotations

import re
from pathlib import Path

from gatekeeper.config import CONFIG_FILE, Config
from gatekeeper.errors import GatekeeperError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.workspace import config_loader, documents, file_selection

KYVERNO_POLICY = compile_lazily(rb"^apiVersion: *[\"']?(?:policies\.)?kyverno\.io/", re.MULTILINE)
# Files that only gatekeeper-upstream reads, apart from charts and kustomizations.
TERRAFORM_SUFFIXES = (".tf", ".tfvars", ".tf.json", ".tfvars.json")


def find_needed_tools(root: Path, settings: Config) -> set[str]:
    """The programs without which a check of a repository is incomplete."""
    try:
        tree = file_selection.build_tree([root], root, settings.exclude, settings.policies)
    except GatekeeperError:
        return set()
    names = {file.rpartition("/")[2] for file in tree.files}
    is_rendered = bool(names & {"Chart.yaml", *documents.KUSTOMIZATION_NAMES})
    needed = {"gatekeeper-upstream"} if is_rendered or any(map(_is_terraform, names)) else set()
    manifests = (file for file in tree.files if file.endswith(documents.EXTENSIONS))
    contents = (tree.read_file(file) for file in manifests)
    if any(isinstance(content, bytes) and KYVERNO_POLICY.search(content) for content in contents):
        needed.add("gatekeeper-kyverno")
    return needed | ({"opa"} if settings.engine == "opa" and not settings.opa_url else set())


def _is_terraform(name: str) -> bool:
    return name.endswith(TERRAFORM_SUFFIXES)


def list_tools_to_install(root: Path) -> list[str]:
    """The programs that a repository needs, and gatekeeper-upstream, which validates objects in every check.

    Raises:
        UsageError: the configuration is invalid.
    """
    is_repository = (root / CONFIG_FILE).is_file() or (root / ".git").exists()
    # Any other folder, such as that of a user, is not searched.
    needed = find_needed_tools(root, config_loader.load(root, None)) if is_repository else set()
    return ["gatekeeper-upstream", *sorted(needed - {"gatekeeper-upstream"})]
