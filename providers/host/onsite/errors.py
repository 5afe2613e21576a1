"""What can go wrong at a site; the class says who acts next, and `kind` is the word for it in the protocol."""


class SiteFault(Exception):
    """Something at this site did not work."""

    kind = "later"
    remedy = ""


class Later(SiteFault):
    """Transient: the caller tries again."""


class Human(SiteFault):
    """Trying again will not help; `remedy` is what an operator does."""

    kind = "human"

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Refused(SiteFault):
    """The site will not do this, and that is final for this request."""

    kind = "refused"


class Stale(SiteFault):
    """The site holds a higher generation: somebody else has acted since."""

    kind = "stale"
