"""The protos have the contract's numbers and names, and the stubs are made from them."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reservation_worker.stubs.proto.common.v1 import errors_pb2, types_pb2
from reservation_worker.stubs.proto.pprof.v1 import profile_pb2
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2, worker_pb2

ROOT = Path(__file__).parents[3]
STUBS = ROOT / "reservation_worker" / "stubs"

# docs/contract.md#inventory and the table of WorkerService, written out: message, then number, name
# and type of each field.
FIELDS = {
    "reservation.v1.ReleaseHoldRequest": [
        (1, "reservation_id", "string"),
        (2, "event_id", "string"),
        (3, "seat_ids", "repeated string"),
        (4, "quantity", "int32"),
        (5, "reason", "string"),
        (6, "idempotency_key", "string"),
    ],
    "reservation.v1.ReleaseHoldResponse": [
        (1, "released_seats", "repeated common.v1.Seat"),
        (2, "status", "reservation.v1.ReleaseStatus"),
        (3, "released_at", "google.protobuf.Timestamp"),
        (4, "error", "common.v1.Error"),
    ],
    "reservation.v1.CommitReservationRequest": [
        (1, "reservation_id", "string"),
        (2, "event_id", "string"),
        (3, "seat_ids", "repeated string"),
        (4, "quantity", "int32"),
        (5, "payment_intent_id", "string"),
        (6, "user_id", "string"),
        (7, "idempotency_key", "string"),
    ],
    "reservation.v1.CommitReservationResponse": [
        (1, "order_id", "string"),
        (2, "sold_seats", "repeated common.v1.Seat"),
        (3, "status", "reservation.v1.CommitStatus"),
        (4, "committed_at", "google.protobuf.Timestamp"),
        (5, "error", "common.v1.Error"),
    ],
    "common.v1.Seat": [
        (1, "id", "string"),
        (2, "section", "string"),
        (3, "row", "string"),
        (4, "number", "string"),
        (5, "price", "common.v1.Money"),
        (6, "status", "common.v1.SeatStatus"),
    ],
    "common.v1.Money": [(1, "amount", "int64"), (2, "currency", "string")],
    "common.v1.Error": [
        (1, "code", "common.v1.ErrorCode"),
        (2, "message", "string"),
        (3, "trace_id", "string"),
        (4, "details", "repeated common.v1.ErrorDetail"),
    ],
    "common.v1.ErrorDetail": [
        (1, "field", "string"),
        (2, "reason", "string"),
        (3, "value", "string"),
    ],
    "reservation.v1.HealthCheckRequest": [
        (1, "worker_instance_id", "string"),
    ],
    "reservation.v1.HealthCheckResponse": [
        (1, "status", "reservation.v1.WorkerStatus"),
        (2, "processed_events_count", "int32"),
        (3, "failed_events_count", "int32"),
        (4, "last_processed_at", "google.protobuf.Timestamp"),
        (5, "queue_depth", "int32"),
        (6, "started_at", "google.protobuf.Timestamp"),
        (7, "error", "common.v1.Error"),
    ],
    "reservation.v1.GetJobStatusRequest": [
        (1, "job_id", "string"),
        (2, "event_type", "string"),
    ],
    "reservation.v1.GetJobStatusResponse": [
        (1, "jobs", "repeated reservation.v1.JobInstance"),
        (2, "metrics", "reservation.v1.JobMetrics"),
        (3, "error", "common.v1.Error"),
    ],
    "reservation.v1.JobInstance": [
        (1, "job_id", "string"),
        (2, "worker_id", "string"),
        (3, "status", "reservation.v1.JobInstanceStatus"),
        (4, "started_at", "google.protobuf.Timestamp"),
        (5, "completed_at", "google.protobuf.Timestamp"),
        (6, "events_processed", "int32"),
        (7, "events_failed", "int32"),
    ],
    "reservation.v1.JobMetrics": [
        (1, "total_active_jobs", "int32"),
        (2, "total_events_pending", "int32"),
        (3, "total_events_processing", "int32"),
        (4, "total_events_completed", "int32"),
        (5, "total_events_failed", "int32"),
        (6, "average_processing_time_ms", "float"),
        (7, "last_updated", "google.protobuf.Timestamp"),
    ],
    "reservation.v1.ProcessReservationExpiryRequest": [
        (1, "reservation_id", "string"),
        (2, "event_id", "string"),
        (3, "seat_ids", "repeated string"),
        (4, "quantity", "int32"),
        (5, "expired_at", "google.protobuf.Timestamp"),
        (6, "correlation_id", "string"),
        (7, "retry_count", "int32"),
    ],
    "reservation.v1.ProcessReservationExpiryResponse": [
        (1, "status", "reservation.v1.ProcessingStatus"),
        (2, "released_seats", "repeated common.v1.Seat"),
        (3, "processed_at", "google.protobuf.Timestamp"),
        (4, "next_action", "string"),
        (5, "error", "common.v1.Error"),
    ],
    "reservation.v1.ProcessPaymentResultRequest": [
        (1, "reservation_id", "string"),
        (2, "payment_intent_id", "string"),
        (3, "result_type", "reservation.v1.PaymentResultType"),
        (4, "event_data", "reservation.v1.PaymentEventData"),
        (5, "correlation_id", "string"),
        (6, "retry_count", "int32"),
    ],
    "reservation.v1.ProcessPaymentResultResponse": [
        (1, "status", "reservation.v1.ProcessingStatus"),
        (2, "order_id", "string"),
        (3, "affected_seats", "repeated common.v1.Seat"),
        (4, "processed_at", "google.protobuf.Timestamp"),
        (5, "next_action", "string"),
        (6, "error", "common.v1.Error"),
    ],
    "reservation.v1.PaymentEventData": [
        (1, "payment_intent_id", "string"),
        (2, "transaction_id", "string"),
        (3, "amount", "common.v1.Money"),
        (4, "processed_at", "google.protobuf.Timestamp"),
        (5, "gateway_response", "string"),
        (6, "metadata", "map<string, string>"),
    ],
    "reservation.v1.ProcessCompensationRequest": [
        (1, "reservation_id", "string"),
        (2, "compensation_type", "reservation.v1.CompensationType"),
        (3, "original_operation", "string"),
        (4, "failure_reason", "string"),
        (5, "context", "map<string, string>"),
        (6, "correlation_id", "string"),
        (7, "retry_count", "int32"),
    ],
    "reservation.v1.ProcessCompensationResponse": [
        (1, "status", "reservation.v1.ProcessingStatus"),
        (2, "actions_taken", "repeated reservation.v1.CompensationAction"),
        (3, "processed_at", "google.protobuf.Timestamp"),
        (4, "requires_manual_intervention", "bool"),
        (5, "error", "common.v1.Error"),
    ],
    "reservation.v1.CompensationAction": [
        (1, "action_type", "reservation.v1.CompensationActionType"),
        (2, "target_service", "string"),
        (3, "action_description", "string"),
        (4, "success", "bool"),
        (5, "executed_at", "google.protobuf.Timestamp"),
    ],
    # The part of pprof's format that the worker writes.
    "pprof.v1.Profile": [
        (1, "sample_type", "repeated pprof.v1.ValueType"),
        (2, "sample", "repeated pprof.v1.Sample"),
        (4, "location", "repeated pprof.v1.Location"),
        (5, "function", "repeated pprof.v1.Function"),
        (6, "string_table", "repeated string"),
        (9, "time_nanos", "int64"),
        (10, "duration_nanos", "int64"),
        (11, "period_type", "pprof.v1.ValueType"),
        (12, "period", "int64"),
    ],
    "pprof.v1.ValueType": [(1, "type", "int64"), (2, "unit", "int64")],
    "pprof.v1.Sample": [
        (1, "location_id", "repeated uint64"),
        (2, "value", "repeated int64"),
        (3, "label", "repeated pprof.v1.Label"),
    ],
    "pprof.v1.Label": [(1, "key", "int64"), (2, "str", "int64")],
    "pprof.v1.Location": [(1, "id", "uint64"), (4, "line", "repeated pprof.v1.Line")],
    "pprof.v1.Line": [(1, "function_id", "uint64"), (2, "line", "int64")],
    "pprof.v1.Function": [(1, "id", "uint64"), (2, "name", "int64"), (4, "filename", "int64")],
}

# Enum: prefix, then the names in the order of their numbers from 0.
ENUMS = {
    "reservation.v1.ReleaseStatus": (
        "RELEASE_STATUS_",
        ["UNSPECIFIED", "SUCCESS", "ALREADY_RELEASED", "NOT_FOUND", "FAILED"],
    ),
    "reservation.v1.CommitStatus": (
        "COMMIT_STATUS_",
        ["UNSPECIFIED", "SUCCESS", "FAILED_PAYMENT", "FAILED_EXPIRED", "FAILED_CONFLICT"],
    ),
    "reservation.v1.ProcessingStatus": (
        "PROCESSING_STATUS_",
        ["UNSPECIFIED", "SUCCESS", "FAILED", "RETRY", "SKIPPED", "DLQ"],
    ),
    "reservation.v1.PaymentResultType": (
        "PAYMENT_RESULT_TYPE_",
        ["UNSPECIFIED", "APPROVED", "FAILED", "CANCELLED", "REFUNDED", "TIMEOUT"],
    ),
    "reservation.v1.WorkerStatus": (
        "WORKER_STATUS_",
        ["UNSPECIFIED", "HEALTHY", "DEGRADED", "UNHEALTHY", "TERMINATED"],
    ),
    "reservation.v1.JobInstanceStatus": (
        "JOB_INSTANCE_STATUS_",
        ["UNSPECIFIED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "TERMINATED"],
    ),
    "reservation.v1.CompensationType": (
        "COMPENSATION_TYPE_",
        [
            "UNSPECIFIED",
            "RELEASE_SEATS",
            "REFUND_PAYMENT",
            "CANCEL_RESERVATION",
            "CLEANUP_ORPHANED",
        ],
    ),
    "reservation.v1.CompensationActionType": (
        "COMPENSATION_ACTION_TYPE_",
        [
            "UNSPECIFIED",
            "INVENTORY_RELEASE",
            "PAYMENT_REFUND",
            "RESERVATION_CANCEL",
            "EVENT_REPUBLISH",
            "MANUAL_REVIEW",
        ],
    ),
    "common.v1.SeatStatus": (
        "SEAT_STATUS_",
        ["UNSPECIFIED", "AVAILABLE", "RESERVED", "SOLD", "BLOCKED"],
    ),
    "common.v1.ErrorCode": (
        "ERROR_CODE_",
        [
            "UNSPECIFIED",
            "UNAUTHENTICATED",
            "FORBIDDEN",
            "UNAUTHORIZED",
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "FAILED_PRECONDITION",
            "RATE_LIMITED",
            "QUOTA_EXCEEDED",
            "IDEMPOTENCY_REQUIRED",
            "IDEMPOTENCY_CONFLICT",
            "RESERVATION_EXPIRED",
            "PAYMENT_NOT_APPROVED",
            "INVENTORY_CONFLICT",
            "INSUFFICIENT_INVENTORY",
            "INTERNAL",
            "UNAVAILABLE",
            "TIMEOUT",
            "UPSTREAM_TIMEOUT",
            "UPSTREAM_ERROR",
            "DATA_CORRUPTION",
            "CONCURRENT_MODIFICATION",
        ],
    ),
}

MODULES = (inventory_pb2, worker_pb2, errors_pb2, types_pb2, profile_pb2)
MESSAGES: dict[str, Any] = {
    one.full_name: one
    for module in MODULES
    for one in module.DESCRIPTOR.message_types_by_name.values()
}
ENUM_TYPES: dict[str, Any] = {
    one.full_name: one
    for module in MODULES
    for one in module.DESCRIPTOR.enum_types_by_name.values()
}
SCALARS = {2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string"}


def type_of(field: Any) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return f"map<{', '.join(type_of(one) for one in field.message_type.fields)}>"
    named = field.message_type or field.enum_type
    name = named.full_name if named else SCALARS.get(field.type, f"type {field.type}")
    return f"repeated {name}" if field.is_repeated else name


@pytest.mark.parametrize("name", FIELDS)
def test_a_message_has_the_fields_of_the_contract_and_no_other(name: str) -> None:
    fields = MESSAGES[name].fields
    assert sorted((one.number, one.name, type_of(one)) for one in fields) == FIELDS[name]


def test_every_message_is_in_the_contract() -> None:
    assert set(MESSAGES) == set(FIELDS)


@pytest.mark.parametrize("name", ENUMS)
def test_an_enum_has_the_values_of_the_contract_and_no_other(name: str) -> None:
    prefix, names = ENUMS[name]
    values = {one.number: one.name for one in ENUM_TYPES[name].values}
    assert values == {number: prefix + short for number, short in enumerate(names)}


def test_every_enum_is_in_the_contract() -> None:
    assert set(ENUM_TYPES) == set(ENUMS)


def test_the_service_has_the_two_calls_that_the_worker_needs() -> None:
    service = inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"]
    assert service.full_name == "reservation.v1.InventoryService"
    assert {one.name: (one.input_type.name, one.output_type.name) for one in service.methods} == {
        "ReleaseHold": ("ReleaseHoldRequest", "ReleaseHoldResponse"),
        "CommitReservation": ("CommitReservationRequest", "CommitReservationResponse"),
    }


def test_the_debug_server_has_the_five_calls_of_its_contract() -> None:
    service = worker_pb2.DESCRIPTOR.services_by_name["WorkerService"]
    assert service.full_name == "reservation.v1.WorkerService"
    calls = [
        "HealthCheck",
        "GetJobStatus",
        "ProcessReservationExpiry",
        "ProcessPaymentResult",
        "ProcessCompensation",
    ]
    assert {one.name: (one.input_type.name, one.output_type.name) for one in service.methods} == {
        name: (f"{name}Request", f"{name}Response") for name in calls
    }
    for name in calls:
        assert (
            worker_pb2.DESCRIPTOR.message_types_by_name[f"{name}Response"].fields[-1].name
            == "error"
        )


def test_the_files_have_the_paths_that_others_import() -> None:
    assert [module.DESCRIPTOR.name for module in MODULES] == [
        "proto/reservation/v1/inventory.proto",
        "proto/reservation/v1/worker.proto",
        "proto/common/v1/errors.proto",
        "proto/common/v1/types.proto",
        "proto/pprof/v1/profile.proto",
    ]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(root: Path) -> dict[str, bytes]:
    files: Iterable[Path] = (one for one in root.rglob("*") if one.is_file())
    return {
        str(one.relative_to(root)): one.read_bytes()
        for one in files
        if "__pycache__" not in one.parts
    }


def test_the_stubs_are_up_to_date_with_the_proto_files(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed: nothing to compare")
    generator().generate(tmp_path)
    made, kept = contents(tmp_path), contents(STUBS)
    assert set(made) == set(kept)
    assert [name for name in kept if kept[name] != made[name]] == []


def test_the_stubs_claim_no_top_level_package() -> None:
    for name, content in contents(STUBS).items():
        assert b"\nfrom proto" not in content, name
        assert b"\nimport proto" not in content, name
