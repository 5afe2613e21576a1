"""What the store refuses or cannot do. Doors turn StoreBusy into 503 and Conflict into 409."""


class StoreError(Exception):
    """Something about the database or its keys."""


class StoreBusy(StoreError):
    """The database is locked or away. Nothing was written; the same call may succeed later."""


class StoreFull(StoreBusy):
    """The database's disk is full or failing. Nothing was written and nothing may be acknowledged."""


class WrongKey(StoreError):
    """The key file does not belong to this database, or a sealed value was tampered with."""


class NeverSetUp(StoreError):
    """There are no tables of Tenure: it is new, or what should be there is not."""


class NotFound(StoreError):
    """There is no such row."""


class Conflict(StoreError):
    """The row is no longer as it was read: somebody else has acted. Read again or stop."""


class Busy(Conflict):
    """A worker holds the account at this moment."""


class KeyTaken(Conflict):
    """The account was claimed with another public key."""
