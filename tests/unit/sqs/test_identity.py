"""Queues are compared by ARN, not by the spelling of their URLs."""

import itertools

import pytest

from reservation_worker.sqs.identity import QueueIdentity

ARN = QueueIdentity.of_arn("arn:aws:sqs:ap-northeast-2:123456789012:events")
SPELLINGS = [
    "https://sqs.ap-northeast-2.amazonaws.com/123456789012/events",
    "https://SQS.AP-Northeast-2.amazonaws.com/123456789012/events/",
    "https://sqs.ap-northeast-2.amazonaws.com:443/123456789012/events?x=1#y",
    "https://user:p/w@sqs.ap-northeast-2.amazonaws.com//123456789012/events",
    "https://ap-northeast-2.queue.amazonaws.com/123456789012/events",
    "https://sqs.ap-northeast-2.api.aws/123456789012/events",
    "https://sqs-fips.ap-northeast-2.amazonaws.com/123456789012/events",
    "https://vpce-0a-1b.sqs.ap-northeast-2.vpce.amazonaws.com/123456789012/events",
    "http://sqs.ap-northeast-2.localhost.localstack.cloud:4566/123456789012/events",
    "http://localhost:4566/queue/ap-northeast-2/123456789012/events",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_of_a_url_means_the_queue_of_the_arn(url: str) -> None:
    assert QueueIdentity.of_url(url) == ARN


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://queue.amazonaws.com/123456789012/events", "us-east-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events", "cn-north-1"),
        ("https://cn-north-1.queue.amazonaws.com.cn/123456789012/events", "cn-north-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/events", "us-gov-west-1"),
        ("http://localhost:4566/123456789012/events", None),
        ("http://sqs.default.svc:9324/123456789012/events", None),
        ("http://sqs:9324/123456789012/events", None),
    ],
)
def test_a_region_is_read_from_the_urls_that_name_one(url: str, region: str | None) -> None:
    assert QueueIdentity.of_url(url) == QueueIdentity("events", "123456789012", region)


def test_a_url_without_an_account_and_a_name_alone_are_read_as_far_as_they_go() -> None:
    assert QueueIdentity.of_url("http://localhost:9324/queue/events") == QueueIdentity("events")
    assert QueueIdentity.of_url("events") == QueueIdentity("events")


def test_unknown_parts_make_no_difference() -> None:
    names = [QueueIdentity("q"), QueueIdentity("q", "1"), QueueIdentity("q", "1", "eu-west-1")]
    assert all(one.same_as(two) for one, two in itertools.product(names, names))


@pytest.mark.parametrize(
    "other",
    [
        QueueIdentity("events-dlq", "123456789012", "ap-northeast-2"),
        QueueIdentity("Events", "123456789012", "ap-northeast-2"),
        QueueIdentity("events", "999999999999", "ap-northeast-2"),
        QueueIdentity("events", "123456789012", "us-east-1"),
        QueueIdentity("events", None, "us-east-1"),
    ],
)
def test_another_name_account_or_region_is_another_queue(other: QueueIdentity) -> None:
    assert not ARN.same_as(other)
    assert not other.same_as(ARN)


@pytest.mark.parametrize(("name", "fifo"), [("q.fifo", True), ("q", False), ("fifo", False)])
def test_a_fifo_queue_is_known_by_its_name(name: str, fifo: bool) -> None:
    assert QueueIdentity.of_url(f"https://host/1/{name}/").fifo is fifo
