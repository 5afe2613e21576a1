"""What can go wrong with an account's stack itself; what goes wrong at its site keeps the site's own error class."""


class StackError(Exception):
    """Something is wrong with a stack, not with its site."""


class StackFailed(StackError):
    """Pulumi's CLI did not do it; the message ends with its last words. Trying again is safe."""


class StackMissing(StackFailed):
    """There is no stack for this account."""


class StackLocked(StackError):
    """Somebody holds the stack's lock. `holder` is as the CLI names it. Once nobody does: `Stacks.repair`."""

    def __init__(self, message: str, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


class StackBroken(StackError):
    """The stack's state cannot be read. It is reported and never made anew; `remedy` is what an operator does."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class CliMissing(StackError):
    """Pulumi's CLI is not on this machine in the version that Tenure needs."""
