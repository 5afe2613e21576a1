"""Refusals of the rules. Each carries a stable code that doors show beside the sentence."""


class RuleError(ValueError):
    """A rule says no. `code` is stable and machine-readable; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class IllegalMove(RuleError):
    """A transition that the life of an account does not have."""

    def __init__(self, message: str) -> None:
        super().__init__("illegal_move", message)
