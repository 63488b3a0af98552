"""What is built as one, and in which order: whatever applies a folder is built before that folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gatekeeper.render.appliers import Applied
from gatekeeper.render.kustomization_graph import Kustomization, reach
from gatekeeper.render.origin import joined


class Unit(NamedTuple):
    """A kustomization's folder; or files that no kustomization names, below a folder that a controller applies."""

    folder: str
    files: tuple[str, ...] = ()


def find(
    found: Mapping[str, Kustomization], plain: Sequence[str], applied: Sequence[Applied]
) -> tuple[list[Unit], list[str]]:
    """All units, and the plain files that nothing here applies."""
    folders = {entry.folder for entry in applied}
    groups: dict[str, list[str]] = {}
    alone: list[str] = []
    for file in plain:
        above = _nearest(file.rpartition("/")[0], folders)
        if above is None or above in found:
            alone.append(file)
        else:
            groups.setdefault(above, []).append(file)
    units = [Unit(folder) for folder in _roots(found, folders)]
    units += [Unit(folder, tuple(files)) for folder, files in sorted(groups.items())]
    return units, alone


def _roots(found: Mapping[str, Kustomization], applied: set[str]) -> list[str]:
    """Kustomizations that nothing builds on, and those that a controller applies; one of each circle."""
    children = {folder for part in found.values() for folder in part.folders}
    whole = sorted(folder for folder, part in found.items() if not part.is_component)
    roots = [folder for folder in whole if folder not in children or folder in applied]
    reached = {part.folder for folder in roots for part in reach(found, folder)}
    for folder in whole:
        # What no root leads to builds on itself in the end: kustomize says so in its own words.
        if folder not in reached:
            roots.append(folder)
            reached.update(part.folder for part in reach(found, folder))
    return sorted(roots)


def unused(found: Mapping[str, Kustomization], units: Sequence[Unit], applied: Sequence[Applied]) -> list[str]:
    """Components that no unit is built with, and that no controller adds to one."""
    reached = {part.folder for unit in units if not unit.files for part in reach(found, unit.folder)}
    added = (joined(entry.folder, name) for entry in applied for name in entry.components)
    reached.update(part.folder for folder in added for part in reach(found, folder))
    return sorted(folder for folder, part in found.items() if part.is_component and folder not in reached)


def _nearest(folder: str, folders: set[str]) -> str | None:
    """The folder itself or the nearest one above it that is in a set."""
    while folder not in folders:
        if not folder:
            return None
        folder = folder.rpartition("/")[0]
    return folder


def appliers(unit: Unit, found: Mapping[str, Kustomization], applied: Sequence[Applied]) -> list[Applied]:
    """What applies a unit: its own folder, or the nearest folder above that is no kustomization itself."""
    folders = {entry.folder for entry in applied if entry.folder == unit.folder or entry.folder not in found}
    nearest = _nearest(unit.folder, folders)
    return [entry for entry in applied if entry.folder == nearest]


def generations(
    units: Sequence[Unit], found: Mapping[str, Kustomization], applied: Sequence[Applied]
) -> Iterator[list[Unit]]:
    """The units in rounds: what holds a unit's appliers comes in an earlier round, except in a circle."""
    holding: dict[str, set[Unit]] = {}
    for unit in units:
        for file in files_of(unit, found):
            holding.setdefault(file, set()).add(unit)
    waits = {
        unit: {
            other for entry in appliers(unit, found, applied) for other in holding.get(entry.resource.origin.file, ())
        }
        - {unit}
        for unit in units
    }
    waiting = list(units)
    while waiting:
        open_units = set(waiting)
        ready = [unit for unit in waiting if not waits[unit] & open_units] or waiting
        yield ready
        waiting = [unit for unit in waiting if unit not in set(ready)]


def files_of(unit: Unit, found: Mapping[str, Kustomization]) -> list[str]:
    """The files that a unit is built from."""
    if unit.files:
        return list(unit.files)
    return [file for part in reach(found, unit.folder) for file in part.files]
