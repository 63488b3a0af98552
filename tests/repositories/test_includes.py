"""Files of included repositories are copied into a checkout, and never from or to a folder outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.repositories import includes
from gatekeeper.repositories.git_repository_spec import RepositoryInclude
from gatekeeper.repositories.includes import IncludedCheckout


@pytest.fixture
def checkouts(tmp_path: Path) -> tuple[Path, Path]:
    """A checkout, and one that it includes."""
    own, other = tmp_path / "own", tmp_path / "other"
    for root, file in ((own, "a.yaml"), (other, "lib/b.yaml")):
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text(file)
    return own, other


def include(root: Path, from_path: str, to_path: str) -> IncludedCheckout:
    return IncludedCheckout(RepositoryInclude("other", from_path, to_path), root)


def test_included_files_are_in_a_separate_folder(checkouts: tuple[Path, Path]) -> None:
    own, other = checkouts
    merged = includes.merge_includes(own, [include(other, "lib", "vendor/lib")])
    assert (merged / "a.yaml").is_file() and (merged / "vendor/lib/b.yaml").read_text() == "lib/b.yaml"
    assert merged != own and not (own / "vendor").exists()
    assert includes.merge_includes(own, [include(other, "lib", "vendor/lib")]) == merged
    assert includes.merge_includes(own, []) == own


def test_path_that_leads_out_is_refused(checkouts: tuple[Path, Path], tmp_path: Path) -> None:
    own, other = checkouts
    (other / "link").symlink_to(tmp_path)
    (own / "out").symlink_to(tmp_path)
    for part in (include(other, "link", "x"), include(other, "lib", "out/x")):
        with pytest.raises(ToolError, match="leads out of the repository"):
            includes.merge_includes(own, [part])
    with pytest.raises(ToolError, match="`fromPath` none is not a folder of other"):
        includes.merge_includes(own, [include(other, "none", "x")])
    assert not list(tmp_path.glob("new-*"))
