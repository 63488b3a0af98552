"""Opens the client of a cluster from a kubeconfig, or with the ServiceAccount of this Pod."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lightkube import KubeConfig
from lightkube.core.exceptions import ConfigError

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import UsageError


@contextmanager
def connect(kubeconfig: Path | None, context: str = "") -> Iterator[DynamicClient]:
    """A client of the cluster that a kubeconfig names; its connections are closed at the end. See `open_client`.

    Args:
        kubeconfig: None for the cluster that this Pod runs in, with the ServiceAccount of the Pod.
        context: a context of the kubeconfig; empty for its current one.

    Raises:
        UsageError: the kubeconfig, or a file that it names, cannot be used.
    """
    with closing(open_client(kubeconfig, context)) as cluster:
        yield cluster


def open_client(kubeconfig: Path | None, context: str = "") -> DynamicClient:
    """A client of the cluster that a kubeconfig names; the caller closes it. See `connect`.

    Raises:
        UsageError: the kubeconfig, or a file that it names, cannot be used.
    """
    if kubeconfig is not None and not kubeconfig.is_file():
        raise UsageError(f"{kubeconfig}: no such file; name the cluster's kubeconfig")
    try:
        known = KubeConfig.from_service_account() if kubeconfig is None else KubeConfig.from_file(kubeconfig)
        config = known.get(context or None)
        if config is None:
            raise ValueError("no current context")
        return DynamicClient(config, f"the cluster of {kubeconfig}" if kubeconfig else "the cluster")
    except OSError as error:
        # Certificates and keys that the kubeconfig names are read here.
        raise UsageError(
            f"{error.filename or kubeconfig}: cannot be read: {error.strerror or error}; check the kubeconfig"
        ) from error
    except (ConfigError, AssertionError, KeyError, ValueError, TypeError, AttributeError) as error:
        if kubeconfig is None:
            raise UsageError("this is not a Pod with a ServiceAccount: give --kubeconfig") from None
        raise UsageError(f"{kubeconfig}: not a kubeconfig with this context ({type(error).__name__})") from None
