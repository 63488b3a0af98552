"""Build units and their order: the unit with a controller's resource is built before the folder that it applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.render.kustomization_graph import list_reachable
from gatekeeper.render.model import AppliedFolder, BuildUnit, KustomizationFile, join_path


def find_units(
    kustomizations: Mapping[str, KustomizationFile],
    plain_files: Sequence[str],
    applied_folders: Sequence[AppliedFolder],
) -> tuple[list[BuildUnit], list[str]]:
    """All build units, and the plain files that no controller of the repository applies."""
    folders = {entry.folder for entry in applied_folders}
    groups: dict[str, list[str]] = {}
    alone: list[str] = []
    for file in plain_files:
        above = _find_nearest(file.rpartition("/")[0], folders)
        if above is None or above in kustomizations:
            alone.append(file)
        else:
            groups.setdefault(above, []).append(file)
    units = [BuildUnit(folder) for folder in _find_roots(kustomizations, folders)]
    units += [BuildUnit(folder, tuple(files)) for folder, files in sorted(groups.items())]
    return units, alone


def _find_roots(kustomizations: Mapping[str, KustomizationFile], folders: set[str]) -> list[str]:
    """Kustomizations that no other builds on, those that a controller applies, and one of each cycle."""
    children = {folder for part in kustomizations.values() for folder in part.folders}
    whole = sorted(folder for folder, part in kustomizations.items() if not part.is_component)
    roots = [folder for folder in whole if folder not in children or folder in folders]
    reached = {part.folder for folder in roots for part in list_reachable(kustomizations, folder)}
    for folder in whole:
        # A kustomization that no root leads to is part of a cycle; kustomize reports it.
        if folder not in reached:
            roots.append(folder)
            reached.update(part.folder for part in list_reachable(kustomizations, folder))
    return sorted(roots)


def find_unused_components(
    kustomizations: Mapping[str, KustomizationFile],
    units: Sequence[BuildUnit],
    applied_folders: Sequence[AppliedFolder],
) -> list[str]:
    """Components that neither a unit nor a controller uses."""
    reached = {part.folder for unit in units if not unit.files for part in list_reachable(kustomizations, unit.folder)}
    added = (join_path(entry.folder, name) for entry in applied_folders for name in entry.components)
    reached.update(part.folder for folder in added for part in list_reachable(kustomizations, folder))
    return sorted(folder for folder, part in kustomizations.items() if part.is_component and folder not in reached)


def _find_nearest(folder: str, folders: set[str]) -> str | None:
    """The nearest of some folders: the folder itself, or one above it; None if there is none."""
    while folder not in folders:
        if not folder:
            return None
        folder = folder.rpartition("/")[0]
    return folder


def find_appliers(
    unit: BuildUnit, kustomizations: Mapping[str, KustomizationFile], applied_folders: Sequence[AppliedFolder]
) -> list[AppliedFolder]:
    """The appliers of a unit: those of its own folder, or of the nearest folder above that is not a kustomization."""
    folders = {
        entry.folder for entry in applied_folders if entry.folder == unit.folder or entry.folder not in kustomizations
    }
    nearest = _find_nearest(unit.folder, folders)
    return [entry for entry in applied_folders if entry.folder == nearest]


def order_units(
    units: Sequence[BuildUnit],
    kustomizations: Mapping[str, KustomizationFile],
    applied_folders: Sequence[AppliedFolder],
) -> Iterator[list[BuildUnit]]:
    """The units in generations: those that contain a unit's appliers come in an earlier one, except in a cycle."""
    units_by_file: dict[str, set[BuildUnit]] = {}
    for unit in units:
        for file in list_files(unit, kustomizations):
            units_by_file.setdefault(file, set()).add(unit)
    dependencies = {
        unit: {
            other
            for entry in find_appliers(unit, kustomizations, applied_folders)
            for other in units_by_file.get(entry.applier.origin.file, ())
        }
        - {unit}
        for unit in units
    }
    waiting = list(units)
    while waiting:
        open_units = set(waiting)
        ready = [unit for unit in waiting if not dependencies[unit] & open_units] or waiting
        yield ready
        waiting = [unit for unit in waiting if unit not in set(ready)]


def list_files(unit: BuildUnit, kustomizations: Mapping[str, KustomizationFile]) -> list[str]:
    """The files that a unit is built from."""
    if unit.files:
        return list(unit.files)
    return [file for part in list_reachable(kustomizations, unit.folder) for file in part.files]
