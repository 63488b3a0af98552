"""The API server with the kinds of Flux; see `tests/flux/conftest.py`."""

from __future__ import annotations

from tests.flux.conftest import flux_cluster, flux_server

__all__ = ["flux_cluster", "flux_server"]
