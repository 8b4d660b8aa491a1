"""An AWS account for each module."""

from collections.abc import Iterator

import pytest

from tests.deploy.cloud import Cloud, cloud


@pytest.fixture(scope="module")
def aws() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, cloud(patch) as made:
        yield made
