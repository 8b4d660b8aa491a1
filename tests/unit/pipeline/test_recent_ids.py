"""A bounded memory of ids, such as those of messages whose delete is not confirmed."""

from reservation_worker.pipeline.deleter import RecentIds


def test_an_id_is_known_until_it_is_forgotten() -> None:
    memory = RecentIds()
    assert not memory.knows("m1")
    memory.remember("m1")
    assert memory.knows("m1")
    memory.forget("m1")
    assert not memory.knows("m1")


def test_an_id_that_was_never_remembered_may_be_forgotten() -> None:
    memory = RecentIds()
    memory.forget("m1")
    assert not memory.knows("m1")


def test_the_oldest_gives_way_when_it_is_full() -> None:
    memory = RecentIds(capacity=3)
    for number in range(5):
        memory.remember(f"m{number}")
    assert [number for number in range(5) if memory.knows(f"m{number}")] == [2, 3, 4]


def test_an_id_that_is_remembered_again_counts_as_new() -> None:
    memory = RecentIds(capacity=2)
    for name in ("old", "new", "old", "newest"):
        memory.remember(name)
    assert memory.knows("old")
    assert not memory.knows("new")
