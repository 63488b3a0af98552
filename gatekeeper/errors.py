"""What can go wrong with the gate itself; bad input is no error but a Finding or a Gap."""


class GateError(Exception):
    """Something the user can mend: what, where and what to do, in one message."""

    exit_code = 3


class UsageError(GateError):
    """Wrong arguments or configuration."""

    exit_code = 2


class ToolError(GateError):
    """An outside program is missing, failed, or took too long."""


class PolicyError(GateError):
    """A policy or its data cannot be loaded; nothing can be judged with it."""


class SealError(GateError):
    """Something cannot be sealed or opened: bad input, a wrong key, a wrong place."""

    exit_code = 1


class SpecError(GateError):
    """An object asks for something that does not exist or cannot be evaluated: an option, an expression, a value."""

    exit_code = 1


class DeniedError(SpecError):
    """An object asks for something that its AppProject, or the Secret of the cluster, does not permit."""
