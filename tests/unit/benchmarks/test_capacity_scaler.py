"""How many pods KEDA and the HPA ask for, against cases computed by hand."""

from dataclasses import replace

import pytest

from benchmarks.capacity.scaler import Direction, Hpa, Keda, Policy, Scaling

MANIFEST = {
    "spec": {
        "minReplicaCount": 0,
        "maxReplicaCount": 50,
        "pollingInterval": 10,
        "cooldownPeriod": 60,
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [
                            {"type": "Percent", "value": 100, "periodSeconds": 15},
                            {"type": "Pods", "value": 10, "periodSeconds": 15},
                        ],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": 120,
                        "selectPolicy": "Max",
                        "policies": [
                            {"type": "Percent", "value": 25, "periodSeconds": 60},
                            {"type": "Pods", "value": 2, "periodSeconds": 60},
                        ],
                    },
                }
            }
        },
        "triggers": [{"metadata": {"queueLength": "10", "scaleOnInFlight": "true"}}],
    }
}
SCALING = Scaling.from_manifest(MANIFEST)


# KEDA


def test_keda_starts_one_pod_at_the_first_message_and_leaves_more_to_the_hpa() -> None:
    keda = Keda(SCALING)
    assert [keda.poll(0, 0, 0), keda.poll(10, 1, 0), keda.poll(20, 9_999, 7)] == [0, 1, 7]


def test_all_pods_go_at_once_a_cooldown_after_the_last_poll_that_saw_a_message() -> None:
    keda = Keda(SCALING)
    keda.poll(100, 5, 50)
    assert [keda.poll(now, 0, 50) for now in (110, 150, 160)] == [50, 50, 0]


def test_a_message_starts_the_cooldown_anew() -> None:
    keda = Keda(SCALING)
    keda.poll(0, 5, 3)
    keda.poll(50, 1, 3)
    assert [keda.poll(now, 0, 3) for now in (70, 100, 110)] == [3, 3, 0]


def test_a_least_number_of_pods_is_kept_without_any_message() -> None:
    keda = Keda(replace(SCALING, least=4))
    assert [keda.poll(0, 0, 0), keda.poll(900, 0, 4)] == [4, 4]


def test_messages_in_flight_count_only_with_scale_on_in_flight() -> None:
    assert SCALING.depth(30, 12) == 42
    assert replace(SCALING, in_flight_counts=False).depth(30, 12) == 30


# The HPA


@pytest.mark.parametrize(
    ("depth", "pods", "wanted"),
    [
        (95, 5, 10),  # 9.5 pods' work
        (100, 5, 10),
        (101, 5, 11),
        (54, 5, 5),  # 1.08 of the target
        (56, 5, 6),  # 1.12
        (46, 5, 5),  # 0.92
        (182, 20, 20),  # 0.91
        (178, 20, 18),  # 0.89
        (0, 5, 0),
    ],
)
def test_pods_are_the_depth_by_queue_length_but_for_the_tolerance(
    depth: int, pods: int, wanted: int
) -> None:
    assert Hpa(SCALING).recommend(depth, pods) == wanted


def test_it_doubles_or_adds_ten_each_fifteen_seconds_up_to_the_most() -> None:
    hpa, pods, seen = Hpa(SCALING), 1, []
    for now in (0, 15, 30, 45, 60):
        pods = hpa.sync(now, 100_000, pods)
        seen.append(pods)
    assert seen == [11, 22, 44, 50, 50]


def test_pods_added_within_the_period_count_towards_the_limit() -> None:
    hpa = Hpa(SCALING)
    assert hpa.sync(0, 100_000, 1) == 11
    assert hpa.sync(14, 100_000, 11) == 11
    assert hpa.sync(15, 100_000, 11) == 22


def test_it_goes_down_only_when_less_was_wanted_for_the_whole_window() -> None:
    hpa = Hpa(SCALING)
    hpa.sync(0, 500, 50)
    downs = {now: hpa.sync(now, 100, 50) for now in range(15, 135, 15)}
    # 25 percent of 50 in a minute: 37.5, and half a pod does not stay.
    assert downs == {**dict.fromkeys(range(15, 120, 15), 50), 120: 37}
    assert hpa.sync(135, 100, 37) == 37
    assert hpa.sync(180, 100, 37) == 27


def test_a_small_fleet_goes_down_by_two_pods_a_minute_to_one_at_the_least() -> None:
    hpa = Hpa(SCALING)
    assert hpa.sync(0, 0, 5) == 3
    assert hpa.sync(60, 0, 3) == 1
    assert hpa.sync(120, 0, 1) == 1


def test_without_pods_the_hpa_is_off() -> None:
    assert Hpa(SCALING).sync(0, 100_000, 0) == 0


@pytest.mark.parametrize(("select", "up", "down"), [("Min", 20, 8), ("Disabled", 10, 10)])
def test_the_selected_policy_decides(select: str, up: int, down: int) -> None:
    policies = (Policy("Percent", 100, 15), Policy("Pods", 10, 15))
    slow = Direction(0, (Policy("Percent", 50, 60), Policy("Pods", 2, 60)), select)
    scaling = replace(SCALING, up=Direction(0, policies, select), down=slow)
    assert Hpa(scaling).sync(0, 100_000, 10) == up
    assert Hpa(scaling).sync(0, 0, 10) == down
