from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeatStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEAT_STATUS_UNSPECIFIED: _ClassVar[SeatStatus]
    SEAT_STATUS_AVAILABLE: _ClassVar[SeatStatus]
    SEAT_STATUS_RESERVED: _ClassVar[SeatStatus]
    SEAT_STATUS_SOLD: _ClassVar[SeatStatus]
    SEAT_STATUS_BLOCKED: _ClassVar[SeatStatus]
SEAT_STATUS_UNSPECIFIED: SeatStatus
SEAT_STATUS_AVAILABLE: SeatStatus
SEAT_STATUS_RESERVED: SeatStatus
SEAT_STATUS_SOLD: SeatStatus
SEAT_STATUS_BLOCKED: SeatStatus

class Money(_message.Message):
    __slots__ = ("amount", "currency")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    amount: int
    currency: str
    def __init__(self, amount: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class Seat(_message.Message):
    __slots__ = ("id", "section", "row", "number", "price", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECTION_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    section: str
    row: str
    number: str
    price: Money
    status: SeatStatus
    def __init__(self, id: _Optional[str] = ..., section: _Optional[str] = ..., row: _Optional[str] = ..., number: _Optional[str] = ..., price: _Optional[_Union[Money, _Mapping]] = ..., status: _Optional[_Union[SeatStatus, str]] = ...) -> None: ...
