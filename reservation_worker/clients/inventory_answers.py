"""The meaning of each answer of inventory-svc, as in docs/contract.md#inventory."""

import grpc

from reservation_worker.clients.meaning import Meaning
from reservation_worker.stubs.proto.common.v1 import errors_pb2 as errors
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb

_Status = grpc.StatusCode

# Every status not listed is TRANSIENT: an outage, an overload, or a neighbour fault.
_STATUS_CODES = {
    _Status.INVALID_ARGUMENT: Meaning.PERMANENT,
    _Status.FAILED_PRECONDITION: Meaning.PERMANENT,
    _Status.OUT_OF_RANGE: Meaning.PERMANENT,
    _Status.DATA_LOSS: Meaning.PERMANENT,
}
RELEASE_STATUS_CODES = _STATUS_CODES | {
    _Status.NOT_FOUND: Meaning.DONE,
    _Status.ALREADY_EXISTS: Meaning.DONE,
}
# NOT_FOUND on a commit means that the seats are gone, though the customer has paid.
COMMIT_STATUS_CODES = _STATUS_CODES | {
    _Status.NOT_FOUND: Meaning.PERMANENT,
    _Status.ALREADY_EXISTS: Meaning.DONE,
}

# In-band error codes. Every known code that is not listed is PERMANENT.
_ERROR = dict.fromkeys(errors.ErrorCode.values(), Meaning.PERMANENT) | {
    errors.ERROR_CODE_UNAUTHENTICATED: Meaning.TRANSIENT,
    errors.ERROR_CODE_FORBIDDEN: Meaning.TRANSIENT,
    errors.ERROR_CODE_UNAUTHORIZED: Meaning.TRANSIENT,
    errors.ERROR_CODE_RATE_LIMITED: Meaning.TRANSIENT,
    errors.ERROR_CODE_QUOTA_EXCEEDED: Meaning.TRANSIENT,
    errors.ERROR_CODE_INTERNAL: Meaning.TRANSIENT,
    errors.ERROR_CODE_UNAVAILABLE: Meaning.TRANSIENT,
    errors.ERROR_CODE_TIMEOUT: Meaning.TRANSIENT,
    errors.ERROR_CODE_UPSTREAM_TIMEOUT: Meaning.TRANSIENT,
    errors.ERROR_CODE_UPSTREAM_ERROR: Meaning.TRANSIENT,
    errors.ERROR_CODE_CONCURRENT_MODIFICATION: Meaning.TRANSIENT,
}
_RELEASE_ERROR = _ERROR | {
    errors.ERROR_CODE_NOT_FOUND: Meaning.DONE,
    errors.ERROR_CODE_ALREADY_EXISTS: Meaning.DONE,
}
_COMMIT_ERROR = _ERROR | {errors.ERROR_CODE_ALREADY_EXISTS: Meaning.DONE}

# In-band statuses that win over any error code; with the others the code decides.
_RELEASE_STATUS = {
    pb.RELEASE_STATUS_ALREADY_RELEASED: Meaning.DONE,
    pb.RELEASE_STATUS_NOT_FOUND: Meaning.DONE,
}
_COMMIT_STATUS = {
    pb.COMMIT_STATUS_FAILED_PAYMENT: Meaning.PERMANENT,
    pb.COMMIT_STATUS_FAILED_EXPIRED: Meaning.PERMANENT,
    pb.COMMIT_STATUS_FAILED_CONFLICT: Meaning.PERMANENT,
}


def classify_release(answer: pb.ReleaseHoldResponse) -> Meaning:
    """The meaning of a ReleaseHold whose gRPC status is OK."""
    if answer.status not in pb.ReleaseStatus.values():
        return Meaning.TRANSIENT
    if answer.status in _RELEASE_STATUS:
        return _RELEASE_STATUS[answer.status]
    if answer.error.code:
        return _RELEASE_ERROR.get(answer.error.code, Meaning.TRANSIENT)
    failed = answer.status == pb.RELEASE_STATUS_FAILED
    return Meaning.TRANSIENT if failed else Meaning.DONE


def classify_commit(answer: pb.CommitReservationResponse) -> Meaning:
    """The meaning of a CommitReservation whose gRPC status is OK."""
    if answer.status not in pb.CommitStatus.values():
        return Meaning.TRANSIENT
    if answer.status in _COMMIT_STATUS:
        return _COMMIT_STATUS[answer.status]
    if answer.error.code:
        return _COMMIT_ERROR.get(answer.error.code, Meaning.TRANSIENT)
    return Meaning.DONE
