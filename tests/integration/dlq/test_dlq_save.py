"""`dlq export`, `import` and `purge`, on a real SQS server with real neighbours to ask."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.dlq.bench import TRACE, Bench, event


def test_an_import_of_an_export_restores_the_messages(bench: Bench) -> None:
    bench.send("한국어 🌮", TRACE, raw=b"\x00\xff", dlq_reason="permanent_error")
    bodies = Counter([*bench.fill(23), "한국어 🌮"])
    assert bench.run("export", "out.jsonl")[0] == 0
    assert bench.counts() == (24, 0)
    assert Path("out.jsonl").stat().st_mode & 0o777 == 0o600
    assert bench.run("export", "out.jsonl")[0] == 1
    assert bench.run("export")[1].count("\n") == 24
    bench.take(bench.dlq)

    assert bench.run("import", "out.jsonl")[0] == 0
    found = bench.take(bench.dlq)
    assert Counter(one["Body"] for one in found) == bodies
    (special,) = (one for one in found if "dlq_reason" in one.get("MessageAttributes", {}))
    assert special["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff"

    assert bench.run("import", "out.jsonl", "--to-queue")[0] == 0
    found = bench.take(bench.queue)
    assert Counter(one["Body"] for one in found) == bodies
    assert not any("dlq_reason" in one.get("MessageAttributes", {}) for one in found)


def test_an_import_sends_only_the_messages_that_are_not_in_the_dlq(bench: Bench) -> None:
    bench.fill(12, dlq_reason="retries_exhausted")
    bench.send(event(rid="twin"))
    bench.send(event(rid="twin"))
    assert bench.run("export", "out.jsonl")[0] == 0
    found = bench.take(bench.dlq)
    kept = [one for one in found if one["Body"] == event(rid="twin")][:1]
    kept += [one for one in found if "dlq_reason" in one.get("MessageAttributes", {})][:3]
    for one in kept:
        attributes = one.get("MessageAttributes", {})
        bench.send(
            one["Body"], **{name: value["StringValue"] for name, value in attributes.items()}
        )
    code, _, err = bench.run("import", "out.jsonl")
    assert code == 0
    assert "4 messages still in the DLQ: skipped (lines " in err
    assert "10 of 10 messages sent" in err
    code, out, _ = bench.run("import", "out.jsonl", "--json")
    shown = json.loads(out)
    assert (code, shown["sent"], len(shown["still_in_dlq"])) == (0, 0, 14)
    assert bench.counts() == (14, 0)


def test_purge_deletes_only_the_chosen_messages(bench: Bench) -> None:
    bench.fill(3, dlq_reason="retries_exhausted")
    bench.send("{", dlq_reason="invalid_payload")
    bench.type("1")
    code, out, err = bench.run("purge", "--reason", "invalid_payload", "--json")
    assert code == 0
    assert (json.loads(out)["deleted"], bench.counts()) == (1, (3, 0))
    assert "1 of 4 messages chosen" in err


def test_export_as_json_says_how_many_were_saved(bench: Bench) -> None:
    bench.fill(2)
    code, out, _ = bench.run("export", "out.jsonl", "--json")
    assert (code, json.loads(out)["messages"]) == (0, 2)


def test_an_import_with_a_wrong_line_sends_nothing(bench: Bench) -> None:
    Path("in.jsonl").write_text('{"body": "x"}\n' * 30 + "{\n")
    code, _, err = bench.run("import", "in.jsonl")
    assert code == 1
    assert "line 31: it is not JSON" in err
    assert bench.counts() == (0, 0)


def test_an_import_says_which_lines_were_refused(bench: Bench) -> None:
    bench.client.set_queue_attributes(QueueUrl=bench.dlq, Attributes={"MaximumMessageSize": "1024"})
    rows = [{"body": "x"}, {"body": "x" * 2000}, {"body": "y"}]
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    code, _, err = bench.run("import", "in.jsonl")
    assert code == 1
    assert "2 of 3 messages sent" in err
    assert "line 2 was refused" in err
    assert bench.counts() == (2, 0)


def test_purge_deletes_the_counted_messages_if_their_number_is_typed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(12)
    for answer in ("", "y", "11", "012"):
        bench.type(answer)
        assert bench.run("purge")[0] == 1
    assert bench.counts() == (12, 0)

    def typed_while_more_comes() -> str:
        bench.send(event(rid="late"))
        return "12"

    monkeypatch.setattr("builtins.input", typed_while_more_comes)
    code, out, _ = bench.run("purge")
    assert code == 0
    assert "12 of 12 messages deleted" in out
    (left,) = bench.take(bench.dlq)
    assert left["Body"] == event(rid="late")


def test_purge_of_an_empty_queue_asks_nothing(bench: Bench) -> None:
    code, out, _ = bench.run("purge")
    assert (code, "is empty" in out) == (0, True)
