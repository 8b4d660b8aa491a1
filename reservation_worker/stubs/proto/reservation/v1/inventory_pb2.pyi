import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from reservation_worker.stubs.proto.common.v1 import errors_pb2 as _errors_pb2
from reservation_worker.stubs.proto.common.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_STATUS_UNSPECIFIED: _ClassVar[ReleaseStatus]
    RELEASE_STATUS_SUCCESS: _ClassVar[ReleaseStatus]
    RELEASE_STATUS_ALREADY_RELEASED: _ClassVar[ReleaseStatus]
    RELEASE_STATUS_NOT_FOUND: _ClassVar[ReleaseStatus]
    RELEASE_STATUS_FAILED: _ClassVar[ReleaseStatus]

class CommitStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMIT_STATUS_UNSPECIFIED: _ClassVar[CommitStatus]
    COMMIT_STATUS_SUCCESS: _ClassVar[CommitStatus]
    COMMIT_STATUS_FAILED_PAYMENT: _ClassVar[CommitStatus]
    COMMIT_STATUS_FAILED_EXPIRED: _ClassVar[CommitStatus]
    COMMIT_STATUS_FAILED_CONFLICT: _ClassVar[CommitStatus]
RELEASE_STATUS_UNSPECIFIED: ReleaseStatus
RELEASE_STATUS_SUCCESS: ReleaseStatus
RELEASE_STATUS_ALREADY_RELEASED: ReleaseStatus
RELEASE_STATUS_NOT_FOUND: ReleaseStatus
RELEASE_STATUS_FAILED: ReleaseStatus
COMMIT_STATUS_UNSPECIFIED: CommitStatus
COMMIT_STATUS_SUCCESS: CommitStatus
COMMIT_STATUS_FAILED_PAYMENT: CommitStatus
COMMIT_STATUS_FAILED_EXPIRED: CommitStatus
COMMIT_STATUS_FAILED_CONFLICT: CommitStatus

class ReleaseHoldRequest(_message.Message):
    __slots__ = ("reservation_id", "event_id", "seat_ids", "quantity", "reason", "idempotency_key")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEAT_IDS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    event_id: str
    seat_ids: _containers.RepeatedScalarFieldContainer[str]
    quantity: int
    reason: str
    idempotency_key: str
    def __init__(self, reservation_id: _Optional[str] = ..., event_id: _Optional[str] = ..., seat_ids: _Optional[_Iterable[str]] = ..., quantity: _Optional[int] = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ReleaseHoldResponse(_message.Message):
    __slots__ = ("released_seats", "status", "released_at", "error")
    RELEASED_SEATS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    released_seats: _containers.RepeatedCompositeFieldContainer[_types_pb2.Seat]
    status: ReleaseStatus
    released_at: _timestamp_pb2.Timestamp
    error: _errors_pb2.Error
    def __init__(self, released_seats: _Optional[_Iterable[_Union[_types_pb2.Seat, _Mapping]]] = ..., status: _Optional[_Union[ReleaseStatus, str]] = ..., released_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[_errors_pb2.Error, _Mapping]] = ...) -> None: ...

class CommitReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "event_id", "seat_ids", "quantity", "payment_intent_id", "user_id", "idempotency_key")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEAT_IDS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    event_id: str
    seat_ids: _containers.RepeatedScalarFieldContainer[str]
    quantity: int
    payment_intent_id: str
    user_id: str
    idempotency_key: str
    def __init__(self, reservation_id: _Optional[str] = ..., event_id: _Optional[str] = ..., seat_ids: _Optional[_Iterable[str]] = ..., quantity: _Optional[int] = ..., payment_intent_id: _Optional[str] = ..., user_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CommitReservationResponse(_message.Message):
    __slots__ = ("order_id", "sold_seats", "status", "committed_at", "error")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SOLD_SEATS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    sold_seats: _containers.RepeatedCompositeFieldContainer[_types_pb2.Seat]
    status: CommitStatus
    committed_at: _timestamp_pb2.Timestamp
    error: _errors_pb2.Error
    def __init__(self, order_id: _Optional[str] = ..., sold_seats: _Optional[_Iterable[_Union[_types_pb2.Seat, _Mapping]]] = ..., status: _Optional[_Union[CommitStatus, str]] = ..., committed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[_errors_pb2.Error, _Mapping]] = ...) -> None: ...
