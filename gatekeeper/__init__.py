"""Gatekeeper judges a GitOps repository and lets nothing past that it has not judged."""

__version__ = "0.1.0"
