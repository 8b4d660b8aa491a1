"""The settings that most tests begin with: a queue and the defaults."""

import hypothesis
from hypothesis import HealthCheck

from reservation_worker.config.settings import Settings
from reservation_worker.config.variables import VARIABLES

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
NAMES = [variable.name for variable in VARIABLES]


def settings(**values: str) -> Settings:
    return Settings.from_mapping({"SQS_QUEUE_URL": QUEUE, **values})


# Hypothesis builds its table of characters on first use, which is slow once.
patient = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
