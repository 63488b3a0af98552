"""The API server with Argo CD's resource definitions; see `tests/argocd/conftest.py`."""

from __future__ import annotations

from tests.argocd.conftest import argocd_cluster

__all__ = ["argocd_cluster"]
