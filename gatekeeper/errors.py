"""Errors of Gatekeeper itself, with the exit status of each. Bad input is not an error: it is a Finding or a Gap."""


class GatekeeperError(Exception):
    """The base of all errors. The user can correct them: the message says what is wrong, where, and what to do."""

    exit_code = 3


class UsageError(GatekeeperError):
    """Wrong arguments or configuration."""

    exit_code = 2


class ToolError(GatekeeperError):
    """An external program or server is missing, failed, or took too long."""


class PolicyError(GatekeeperError):
    """A policy or its data cannot be loaded or evaluated."""


class SecretFileError(GatekeeperError):
    """A file with secrets cannot be read, sealed or decrypted: bad input, a wrong key, or a wrong namespace."""

    exit_code = 1


class SpecError(GatekeeperError):
    """An object uses something that does not exist or cannot be evaluated: an option, an expression, a value."""

    exit_code = 1


class DeniedError(SpecError):
    """An object uses something that its AppProject, or the Secret of the cluster, does not permit."""
