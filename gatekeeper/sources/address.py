"""URLs of sources, in a form that can be shown and compared."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def normalize_address(url: str) -> str:
    """A URL that can be shown and compared: host in lower case, no default port, no user, password, query, final slash.

    Raises:
        ValueError: the text is no URL.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if not scheme or (not host and scheme != "file"):
        raise ValueError("no URL")
    if ":" in host:
        host = f"[{host}]"
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS.get(scheme) else ""
    return urlunsplit(SplitResult(scheme, host + port, parts.path.rstrip("/"), "", ""))
