"""AWS's errors as ours: translated once, here. The class says who acts next.

The first three are for whoever asked; where nobody expects one of them, AWS has not caught up with itself: later.
"""

from datetime import timedelta

from botocore import exceptions as boto

from providers.protocol import NeedsHuman, SiteError, TryLater


class Gone(TryLater):
    """What was asked for does not exist (any more)."""


class Exists(TryLater):
    """Something of that name exists already."""


class NotYet(TryLater):
    """AWS has not caught up with itself: the same call works later."""


class Raced(TryLater):
    """A conditional write found another value than the one that was read."""


GONE = frozenset({"NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException", "StateMachineDoesNotExist"})
EXISTS = frozenset({"EntityAlreadyExists", "EntityAlreadyExistsException", "InvalidGroup.Duplicate",
                    "InvalidPermission.Duplicate", "ResourceAlreadyExistsException", "ResourceInUseException",
                    "RouteAlreadyExists", "Resource.AlreadyAssociated", "InvalidSubnet.Conflict"})
NOT_YET = frozenset({"DependencyViolation", "DeleteConflict", "DeleteConflictException", "VolumeInUse",
                     "EntityTemporarilyUnmodifiable", "ConcurrentModification", "ConcurrentModificationException",
                     "IncorrectState", "IncorrectModificationState", "VolumeModificationRateExceeded"})
BUSY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
                  "ProvisionedThroughputExceededException", "RequestThrottled", "ServiceUnavailable", "InternalError",
                  "InternalFailure", "InternalServerError", "ServerException", "Unavailable"})
FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure",
                       "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
                       "ExpiredToken", "ExpiredTokenException", "OptInRequired"})
FULL = frozenset({"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "SubnetLimitExceeded",
                  "VolumeLimitExceeded", "VpcLimitExceeded", "SecurityGroupLimitExceeded", "MaxIOPSLimitExceeded"})
BATCH = {"does not exist": Gone, "not found": Gone, "already exists": Exists, "being modified": NotYet,
         "existing JobQueue relationship": NotYet}
"""Batch has one code for everything that it refuses: what its message says, by a word of it."""


def translated(what: str, error: Exception) -> SiteError:
    """The error of one call as ours; `what` says which call, to what."""
    match error:
        case boto.ClientError():
            return _answered(what, error)
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return NeedsHuman(f"{what}: there are no AWS credentials",
                              remedy="give Tenure a role or a profile, as boto3 finds them")
        case boto.ConnectionError() | boto.HTTPClientError():
            return TryLater(f"{what}: {type(error).__name__}: {error}", after=timedelta(seconds=2))
        case _:
            return NeedsHuman(f"{what}: {error}", remedy="this call was wrong; it is a fault in Tenure")


def _answered(what: str, error: boto.ClientError) -> SiteError:
    said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(said.get("Code", "")), str(said.get("Message", ""))
    told = f"{what}: {code}: {message}"
    if code == "ConditionalCheckFailedException":
        return Raced(told)
    if code == "ConflictException":  # a name that is taken, or somebody else's write in this very moment
        return Exists(told) if error.operation_name.startswith("Create") else NotYet(told)
    if code == "ClientException" and (kinds := [kind for word, kind in BATCH.items() if word in message]):
        return kinds[0](told)
    if code in GONE or code.endswith(".NotFound"):
        return Gone(told)
    if code in EXISTS:
        return Exists(told)
    if code in NOT_YET:
        return NotYet(told)
    if code in FORBIDDEN:
        return NeedsHuman(told, remedy="let Tenure's own principal do this (`tenure site check` names what it needs)")
    if code in FULL:
        return NeedsHuman(told, remedy="raise this quota of the AWS account, or let offers go to another site")
    if code in BUSY or status >= 500:
        return TryLater(told, after=timedelta(seconds=2))
    return NeedsHuman(told, remedy="AWS refused the request itself: its message says why")
