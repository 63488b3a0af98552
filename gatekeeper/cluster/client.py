"""The door to a cluster: a kubeconfig, a time limit, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.errors import ToolError, UsageError

if TYPE_CHECKING:
    from lightkube import Client

TIMEOUT_SECONDS = 20.0


@contextmanager
def open_client(kubeconfig: Path | None, context: str = "") -> Iterator[Client]:
    """A client of the cluster that a kubeconfig names.

    Args:
        kubeconfig: None for the cluster that this runs in, as the ServiceAccount of its Pod.
        context: one of its contexts; empty for the current one.

    Raises:
        UsageError: the kubeconfig cannot be used.
        ToolError: the cluster does not answer, or refuses.
    """
    import httpx2
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ConfigError

    if kubeconfig is not None and not kubeconfig.is_file():
        raise UsageError(f"{kubeconfig}: no such file; name the cluster's kubeconfig")
    try:
        if kubeconfig is None:
            single = KubeConfig.from_service_account().get()
        else:
            single = KubeConfig.from_file(kubeconfig).get(context or None)
        client = Client(config=single, timeout=httpx2.Timeout(TIMEOUT_SECONDS))
    except OSError as error:
        raise UsageError(f"{error.filename or kubeconfig}: cannot be read: {error.strerror or error}") from error
    except ConfigError as error:
        if kubeconfig is not None:
            raise UsageError(f"{kubeconfig}: is no kubeconfig with this context: {type(error).__name__}") from None
        raise UsageError("this is no Pod with a ServiceAccount: give --kubeconfig") from None
    except (AssertionError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{kubeconfig}: is no kubeconfig with this context: {type(error).__name__}") from None
    try:
        with translate_errors(kubeconfig or Path("this Pod")):
            yield client
    finally:
        client.close()


@contextmanager
def translate_errors(kubeconfig: Path) -> Iterator[None]:
    """Says why a cluster does not do what it is asked.

    Raises:
        UsageError: what the kubeconfig names cannot be used.
        ToolError: the cluster does not answer, or refuses.
    """
    import httpx2
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        raise ToolError(f"the cluster of {kubeconfig} refuses: {error.status.message}") from None
    except httpx2.HTTPError as error:
        raise ToolError(f"the cluster of {kubeconfig} does not answer: {type(error).__name__}: {error}") from None
    except OSError as error:
        # What the kubeconfig names (a certificate, a key) is read late.
        raise UsageError(f"{kubeconfig}: {error.filename or ''}: {error.strerror or error}") from error
