"""The fields that a kubeconfig from a Secret must not have.

A user who can write the Secret gets access to the cluster that it describes, but not to the machine that reads it.
Source: client-go `tools/clientcmd/api/v1/types.go`.
"""

from __future__ import annotations

from typing import Any

# These run a program, read a file of this machine, or send the connection through another server.
FORBIDDEN_FIELDS = {
    "user": ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key"),
    "cluster": ("certificate-authority", "proxy-url"),
}


def find_forbidden_field(kubeconfig: Any) -> str:
    """Return the first field of a parsed kubeconfig that must not come from a Secret; empty if there is none.

    Raises:
        ValueError: the value does not have the form of a kubeconfig.
    """
    if not isinstance(kubeconfig, dict):
        raise ValueError("a kubeconfig must be a mapping")
    for part, fields in FORBIDDEN_FIELDS.items():
        for entry in kubeconfig.get(f"{part}s") or ():
            settings = (entry.get(part) or {}) if isinstance(entry, dict) else entry
            if not isinstance(settings, dict):
                raise ValueError(f"every item of `{part}s` must be a mapping with a mapping `{part}`")
            for field in fields:
                if settings.get(field) not in (None, ""):
                    return field
    return ""
