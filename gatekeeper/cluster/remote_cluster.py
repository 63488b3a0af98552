"""Other clusters, by kubeconfigs that stand in Secrets: whoever writes one gets no more than a way into that cluster.

A kubeconfig may name programs that are run to sign in, and files that are read. Of a Secret that a tenant may write,
neither is done.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import yaml

from gatekeeper.cluster.dynamic_client import Objects
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import Hidden

KEYS = ("value", "value.yaml")
# What would be run, or read from this machine.
REFUSED = {
    "user": ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key"),
    "cluster": ("certificate-authority", "proxy-url"),
}
SECONDS = 20.0
# So many clusters are kept open.
MOST = 64

_opened: dict[str, Objects] = {}
_opening = threading.Lock()


def opened(text: Hidden, what: str) -> Objects:
    """The cluster of a kubeconfig; kept open for the next who asks.

    Args:
        what: the Secret, for messages.

    Raises:
        ToolError: it is no kubeconfig that can be used.
    """
    mark = hashlib.sha256(text.reveal()).hexdigest()
    with _opening:
        if mark not in _opened:
            # Somebody may still be asking it: its connections are closed when nobody knows it any more.
            while len(_opened) >= MOST:
                _opened.pop(next(iter(_opened)))
            _opened[mark] = _fresh(text, what)
        return _opened[mark]


def _fresh(text: Hidden, what: str) -> Objects:
    import httpx2
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        value: Any = yaml.safe_load(text.reveal())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ToolError(f"{what}: is no YAML") from None
    for name, fields in REFUSED.items():
        for entry in (value.get(f"{name}s") if isinstance(value, dict) else None) or ():
            held = entry.get(name) or {}
            bad = [field for field in fields if held.get(field)]
            if bad:
                raise ToolError(
                    f"{what}: its `{bad[0]}` is not followed: what is in a Secret runs and reads nothing here"
                )
    try:
        single = KubeConfig.from_dict(value).get()
        return Objects(Client(config=single, timeout=httpx2.Timeout(SECONDS)))
    except (AssertionError, ConfigError, KeyError, ValueError, TypeError, AttributeError, OSError):
        raise ToolError(f"{what}: is no kubeconfig that can be used") from None
