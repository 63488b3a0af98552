"""The exit status of each error."""

from __future__ import annotations

import pytest

from gatekeeper.errors import GatekeeperError, PolicyError, SecretFileError, ToolError, UsageError
from gatekeeper.host.git_command import NotARepositoryError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (GatekeeperError, 3),
        (UsageError, 2),
        (NotARepositoryError, 2),
        (ToolError, 3),
        (PolicyError, 3),
        (SecretFileError, 1),
    ],
)
def test_an_error_has_the_exit_status_of_its_kind(error: type[GatekeeperError], status: int) -> None:
    assert issubclass(error, GatekeeperError) and error("text").exit_code == status
