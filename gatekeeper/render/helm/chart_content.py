"""The content of charts: folders of the repository, and archives from elsewhere that the lock pins."""

from __future__ import annotations

import base64
import io
import os
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gatekeeper.errors import ToolError
from gatekeeper.model import Gap
from gatekeeper.render.helm import chart_dependencies, cluster_functions, helm_template
from gatekeeper.sources.source_cache import SourceCache
from gatekeeper.upstream.helm_release import ChartFiles
from gatekeeper.workspace.tree import Tree, list_files_below

if TYPE_CHECKING:
    from tarfile import TarFile

# The bounds of Helm for an archive. Source: helm.sh/helm/v3/pkg/chart/loader/archive.go.
MAX_CHART_BYTES, MAX_FILE_BYTES = 100 << 20, 5 << 20


class LocalChart:
    """A folder of the repository; its dependencies are in it, or are other folders of the repository."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree, self.folder = tree, folder

    @cached_property
    def files(self) -> ChartFiles:
        """See `ChartContent`."""
        with helm_template.prepare_chart(self.tree, self.folder) as folder:
            return helm_template.read_chart(folder, self.tree.root)

    def contains(self, word: bytes) -> bool:
        """See `ChartContent`; an archive in its folder `charts` counts as one that does."""
        try:
            files = self.files.files
        except ToolError:
            return False
        return any(file["name"].endswith(".tgz") or word in base64.b64decode(file["data"]) for file in files)

    def find_faults(self) -> list[Gap]:
        """See `ChartContent`: dependencies that form a cycle, or are missing."""
        if cycle := chart_dependencies.find_cycle(self.tree, self.folder):
            chain = " -> ".join(folder or "." for folder in cycle)
            reason = f"its dependencies form a cycle: {chain}; remove one of them from `dependencies`"
        elif missing := helm_template.find_missing_dependencies(self.tree, self.folder):
            reason = (
                f"depends on {', '.join(missing)}, which is not fetched: run `helm dependency build`, commit `charts/`"
            )
        else:
            return []
        return [Gap(f"{self.folder}/Chart.yaml".lstrip("/"), reason, is_fatal=True)]

    def find_cluster_calls(self) -> list[Gap]:
        """See `ChartContent`."""
        return list(cluster_functions.find_cluster_calls(self.tree, self.folder))

    def unpack(self, folder: Path) -> None:
        """See `ChartContent`."""
        with helm_template.prepare_chart(self.tree, self.folder) as chart:
            helm_template.copy_chart(self.tree.root, chart, folder)


class ArchivedChart:
    """A chart from elsewhere. Its archive is unpacked only when the line of a finding is looked for.

    Args:
        name: of the chart.
        digest: of the archive in the cache.
    """

    def __init__(self, name: str, digest: str, cache: SourceCache) -> None:
        self.folder = name
        self._digest, self._cache = digest, cache

    @cached_property
    def files(self) -> ChartFiles:
        """See `ChartContent`."""
        return ChartFiles(self._digest, (), self._cache.read(self._digest))

    @cached_property
    def tree(self) -> Tree:
        """See `ChartContent`."""
        # Slow to load: a run without findings in such a chart does without them.
        import shutil
        import tempfile

        root = Path(tempfile.mkdtemp(prefix="gatekeeper-chart-"))
        # It is needed as long as this chart, at most until this process ends.
        weakref.finalize(self, shutil.rmtree, root, True)
        self.unpack(root / self.folder)
        return Tree(root, sorted(os.path.relpath(path, root) for path in list_files_below(root)))

    def contains(self, word: bytes) -> bool:
        """See `ChartContent`; an archive in its folder `charts` counts as one that does."""
        return word in self._text or b".tgz\0" in self._text

    @cached_property
    def _text(self) -> bytes:
        """The content of all files; empty for an archive that cannot be read, which Helm refuses."""
        try:
            return _decompress(self.files.archive)
        except ToolError:
            return b""

    def find_faults(self) -> list[Gap]:
        """See `ChartContent`: Helm itself says what is missing in an archive."""
        return []

    def find_cluster_calls(self) -> list[Gap]:
        """See `ChartContent`."""
        if not (self.contains(b"lookup") or self.contains(b"getHostByName")):
            return []
        return list(cluster_functions.find_cluster_calls(self.tree, self.folder))

    def unpack(self, folder: Path) -> None:
        """See `ChartContent`."""
        folder.mkdir(parents=True, exist_ok=True)
        with _open_archive(self.files.archive) as archive:
            for member in archive:
                # The first folder has the name of the chart.
                inner = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if not member.isfile() or ".." in inner.parts or not inner.parts or member.size > MAX_FILE_BYTES:
                    continue
                content = archive.extractfile(member)
                path = folder / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read() if content else b"")


def _decompress(archive: bytes) -> bytes:
    """The tar file of an archive.

    Raises:
        ToolError: it is no gzip file, or too large.
    """
    # Slow to load: a run without a chart from elsewhere does without it.
    import gzip

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(archive)) as stream:
            content = stream.read(MAX_CHART_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ToolError("the archive of the chart cannot be read") from error
    if len(content) > MAX_CHART_BYTES:
        raise ToolError(f"the archive of the chart unpacks to more than {MAX_CHART_BYTES >> 20} MB")
    return content


@contextmanager
def _open_archive(archive: bytes) -> Iterator[TarFile]:
    # Slow to load: a run without findings in such a chart does without it.
    import tarfile

    try:
        with tarfile.open(fileobj=io.BytesIO(_decompress(archive)), mode="r:") as opened:
            yield opened
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ToolError("the archive of the chart cannot be read") from error
