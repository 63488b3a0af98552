"""Gatekeeper: one verdict on a GitOps repository, in the hook, in CI and in the cluster."""

__version__ = "0.1.0"
