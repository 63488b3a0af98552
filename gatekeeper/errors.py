"""Errors of Gatekeeper itself, with the exit status of each. Bad input is not an error: it is a Finding or a Gap."""


class GateError(Exception):
    """An error that the user can correct: one message says what is wrong, where, and what to do."""

    exit_code = 3


class UsageError(GateError):
    """Wrong arguments or configuration."""

    exit_code = 2


class ToolError(GateError):
    """An external program or server is missing, failed, or took too long."""


class PolicyError(GateError):
    """A policy or its data cannot be loaded or evaluated."""


class SealError(GateError):
    """Something cannot be sealed or unsealed: bad input, a wrong key, or a wrong place."""

    exit_code = 1


class SpecError(GateError):
    """An object uses something that does not exist or cannot be evaluated: an option, an expression, a value."""

    exit_code = 1


class DeniedError(SpecError):
    """An object uses something that its AppProject, or the Secret of the cluster, does not permit."""
