"""Symbolic links: what stands under a link's name is read, unless it is checked in the same way under its own.

kubectl, kustomize, Helm and Argo CD follow links within a repository.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from gatekeeper.model import Gap
from gatekeeper.workspace.tree import list_files_below

MAX_TARGET_LENGTH = 1024
# Files whose name or place decides what they are for.
CHECKED_SUFFIXES = (".yaml", ".yml", ".json", ".tf")
NAMED_FILES = {"kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml", "requirements.yaml"}


def find_target(root: Path, file: str) -> str | Gap:
    """What a link leads to, relative to the root; or why it is not followed."""
    try:
        target = Path(root, file).resolve(strict=True)
    except PermissionError:
        return Gap(file, "a symbolic link to what cannot be read: permit reading, or remove it", is_fatal=True)
    except (OSError, RuntimeError):
        return Gap(file, "a symbolic link to nothing or to itself: correct or remove it", is_fatal=True)
    if not target.is_relative_to(root):
        return Gap(file, "a symbolic link out of the repository: not followed; copy the file instead", is_fatal=True)
    if not target.is_file() and not target.is_dir():
        return Gap(file, "a symbolic link to something that is not a regular file")
    return target.relative_to(root).as_posix()


def is_checked_file(file: str) -> bool:
    """Whether the name of a file says that it is checked as something else than text."""
    return file.endswith(CHECKED_SUFFIXES) or PurePosixPath(file).name in NAMED_FILES


def is_read_as_itself(
    root: Path, file: str, target: str, kept_files: Collection[str], policy_folders: Sequence[str]
) -> bool:
    """Whether a link needs no reading: nothing reads its name, or its target is checked for the same.

    Args:
        kept_files: the files that are checked.
        policy_folders: folders whose files are policies, and not checked as resources.
    """
    if not is_checked_file(file):
        return True
    # Paths in these are relative to the link, and charts read their files by name.
    if PurePosixPath(file).name in NAMED_FILES or _is_chart_file(root, file):
        return False
    is_policy = target.startswith(tuple(f"{path.strip('/')}/" for path in policy_folders if path.strip("./")))
    is_same_kind = target.endswith(CHECKED_SUFFIXES) and target.endswith(".tf") == file.endswith(".tf")
    return target in kept_files and is_same_kind and not is_policy and not _is_chart_file(root, target)


def _is_chart_file(root: Path, file: str) -> bool:
    """Whether a file is in the folder of a chart, or below its templates."""
    folder = PurePosixPath(file).parent
    charts = [folder, *(parent.parent for parent in (folder, *folder.parents) if parent.name == "templates")]
    return any(_may_be_file(root / chart / "Chart.yaml") for chart in charts)


def _may_be_file(path: Path) -> bool:
    """Whether a path is a file; true if its folder cannot be read."""
    try:
        return path.is_file()
    except OSError:
        return True


def find_flattened_link(root: Path, file: str, content: bytes) -> Gap | None:
    """A fatal gap if a file holds only the path of another: Git without `core.symlinks` writes links like that."""
    if len(content) > MAX_TARGET_LENGTH or b"\n" in content or not is_checked_file(file):
        return None
    target = content.decode("utf-8", "replace")
    path = Path(root, file).parent / target
    if not target or target.startswith("/") or "\0" in target or not _is_file(path):
        return None
    reason = f"holds only the path {target}: a symbolic link that Git wrote as a text"
    return Gap(file, f"{reason}; set `core.symlinks` to true and check it out again", is_fatal=True)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # The text is too long for a name, and so no path.
        return False


def check_folder(root: Path, file: str, target: str, kept_files: Collection[str]) -> Gap:
    """The gap of a link to a folder: its files are checked under their own names, or it is fatal."""
    inside = f"{target}/" if target != "." else ""
    if any(kept.startswith(inside) for kept in kept_files):
        return Gap(file, f"a symbolic link: checked as {target}")
    remedy = "name the link under `files.exclude`"
    try:
        has_manifests = any(is_checked_file(path.name) for path in list_files_below(root / target))
    except OSError as error:
        reason = f"a symbolic link to the folder {target}, which cannot be read completely: {error.strerror or error}"
        return Gap(file, f"{reason}; permit reading, or {remedy}", is_fatal=True)
    if not has_manifests:
        return Gap(file, f"a symbolic link: checked as {target}")
    reason = f"a symbolic link to the folder {target}, whose files are ignored or excluded: not checked"
    return Gap(file, f"{reason}; {remedy}, or include the folder", is_fatal=True)
