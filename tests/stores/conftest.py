"""The API server of the tests of clusters, for stores that read one."""

from __future__ import annotations

from tests.cluster.conftest import api_server, dynamic_client

__all__ = ["api_server", "dynamic_client"]
