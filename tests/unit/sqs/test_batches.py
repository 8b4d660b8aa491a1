"""SQS's wire rules: sizes, batches, and the answers to batches."""

import pytest

from reservation_worker.sqs.batches import BatchFailure, batches, failures, fit, message, size


def test_batches_hold_ten_messages_and_one_mebibyte_at_most() -> None:
    assert [len(one) for one in batches((n, 1) for n in range(25))] == [10, 10, 5]
    sizes = [600_000, 500_000, 1_048_576, 1]
    assert [len(one) for one in batches((n, n) for n in sizes)] == [1, 1, 1, 1]


def test_batches_keep_the_order_and_lose_nothing() -> None:
    items = [(n, n % 7) for n in range(100)]
    assert [n for batch in batches(items, 4, 9) for n in batch] == list(range(100))


def test_a_size_is_bytes_of_the_body_and_of_each_attributes_name_type_and_value() -> None:
    attributes = {
        "자리": {"DataType": "String", "StringValue": "A1"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x00"},
    }
    assert size("좌석", {}) == 6
    assert size("x", attributes) == 1 + (6 + 6 + 2) + (3 + 6 + 3)


def test_a_body_with_half_a_character_has_a_size_too() -> None:
    assert size("\ud800", {}) == 3


def test_a_message_without_a_trace_has_no_system_attributes() -> None:
    assert message("x", {}, None)["MessageSystemAttributes"] == {}
    traced = message("x", {}, "Root=1")["MessageSystemAttributes"]
    assert traced == {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}


MARKED = {
    name: {"DataType": "String", "StringValue": "자리"}
    for name in ("TraceId", "dlq_reason", "dlq_source_message_id", "dlq_error", "dlq_time")
}


def test_where_a_message_is_too_large_our_marks_give_way_from_the_last_one_on() -> None:
    found = []
    for most in range(1, size("본문", MARKED) + 1):
        fitting = list(fit("본문", MARKED, most))
        assert size("본문", {name: MARKED[name] for name in fitting}) <= most or (
            fitting == ["TraceId"]
        )
        if fitting not in found:
            found.append(fitting)
    assert found == [
        ["TraceId"],
        ["TraceId", "dlq_reason"],
        ["TraceId", "dlq_reason", "dlq_source_message_id"],
        ["TraceId", "dlq_reason", "dlq_source_message_id", "dlq_error"],
        list(MARKED),
    ]


def test_the_failures_of_a_batch_are_found_by_their_position() -> None:
    answer = {
        "Successful": [{"Id": "0"}],
        "Failed": [
            {"Id": "1", "Code": "InternalError", "SenderFault": False, "Message": "later"},
            {"Id": "2", "Code": "ReceiptHandleIsInvalid", "SenderFault": True},
        ],
    }
    assert failures(answer) == {
        1: BatchFailure("InternalError", False, "later"),
        2: BatchFailure("ReceiptHandleIsInvalid", True),
    }
    assert failures({}) == {}


@pytest.mark.parametrize(
    ("code", "gone"),
    [
        ("AWS.SimpleQueueService.ReceiptHandleIsInvalid", True),
        ("InvalidParameterValueException", True),
        ("MessageNotInflight", True),
        ("InternalError", False),
        ("AccessDenied", False),
    ],
)
def test_a_failure_recognises_a_void_receipt(code: str, gone: bool) -> None:
    [failure] = failures({"Failed": [{"Id": "0", "Code": code}]}).values()
    assert failure.gone is gone


def test_a_failure_reads_as_its_code_and_its_text() -> None:
    assert str(BatchFailure("InternalError", False, "later")) == "InternalError: later"
    assert str(BatchFailure("InternalError", False)) == "InternalError"
