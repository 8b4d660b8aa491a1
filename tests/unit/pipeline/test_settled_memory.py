"""The memory of settled messages whose delete is not confirmed."""

from reservation_worker.pipeline.deleter import SettledMemory


def test_a_settled_message_is_known_until_its_delete_worked() -> None:
    memory = SettledMemory()
    assert not memory.knows("m1")
    memory.remember("m1")
    assert memory.knows("m1")
    memory.forget("m1")
    assert not memory.knows("m1")


def test_a_message_that_was_never_remembered_may_be_forgotten() -> None:
    memory = SettledMemory()
    memory.forget("m1")
    assert not memory.knows("m1")


def test_the_oldest_gives_way_when_it_is_full() -> None:
    memory = SettledMemory(capacity=3)
    for number in range(5):
        memory.remember(f"m{number}")
    assert [number for number in range(5) if memory.knows(f"m{number}")] == [2, 3, 4]


def test_a_message_that_failed_again_counts_as_new() -> None:
    memory = SettledMemory(capacity=2)
    for name in ("old", "new", "old", "newest"):
        memory.remember(name)
    assert memory.knows("old")
    assert not memory.knows("new")
