"""Credentials that are missing, expired or refused are asked for anew."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError

from reservation_worker.errors import ConfigurationError, SqsError
from reservation_worker.sqs.clients import RENEWAL, RenewedClients
from tests.fake_queue import PATIENCE, FakeClock

EXPIRED = ClientError({"Error": {"Code": "ExpiredToken"}}, "ReceiveMessage")
DENIED = ClientError({"Error": {"Code": "AccessDenied"}}, "ReceiveMessage")
UNAVAILABLE = CredentialRetrievalError(provider="container-role", error_msg="not ready")


class Client:
    """Fails with `error` while there is one."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.error: Exception | None = None
        self.closed = 0

    def ask(self) -> int:
        assert not self.closed
        if self.error:
            raise self.error
        return self.number


class Rig:
    """Makes clients, unless `problem` says otherwise."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.made: list[Client] = []
        self.problem: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.clients: RenewedClients[Client] = RenewedClients(self.make, self.close, self.clock)

    def make(self) -> Client:
        if self.problem:
            raise self.problem
        self.meanwhile()
        self.made.append(Client(len(self.made)))
        return self.made[-1]

    @staticmethod
    def close(client: Client) -> None:
        client.closed += 1

    def ask(self) -> int:
        return self.clients.call(Client.ask)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_one_client_serves_all_calls(rig: Rig) -> None:
    rig.clients.open()
    assert [rig.ask(), rig.ask()] == [0, 0]
    assert len(rig.made) == 1


def test_after_credentials_that_failed_the_same_call_is_made_by_a_new_client(rig: Rig) -> None:
    rig.clients.open()
    rig.made[0].error = EXPIRED
    assert rig.ask() == 1
    assert [client.closed for client in rig.made] == [1, 0]


@pytest.mark.parametrize("error", [DENIED, ValueError("x"), OSError("x")])
def test_an_error_of_another_kind_makes_no_new_client(rig: Rig, error: Exception) -> None:
    rig.clients.open()
    rig.made[0].error = error
    with pytest.raises(type(error)):
        rig.ask()
    assert len(rig.made) == 1


def test_new_clients_are_made_at_most_once_in_a_while_and_within_a_minute(rig: Rig) -> None:
    rig.clients.open()
    for client_of_now in range(3):
        rig.made[client_of_now].error = EXPIRED
        assert rig.ask() == client_of_now + 1
        rig.made[-1].error = EXPIRED
        for _ in range(3):
            with pytest.raises(ClientError):
                rig.ask()
        assert len(rig.made) == client_of_now + 2
        rig.clock.advance(RENEWAL)
    assert RENEWAL < 30


def test_credentials_that_are_not_there_at_the_start_may_come_later(rig: Rig) -> None:
    rig.problem = UNAVAILABLE
    rig.clients.open()
    with pytest.raises(SqsError, match="not ready"):
        rig.ask()
    rig.problem = None
    with pytest.raises(SqsError, match="not ready"):
        rig.ask()
    rig.clock.advance(RENEWAL)
    assert rig.ask() == 0


def test_a_client_that_came_without_credentials_is_replaced_when_there_are_some(rig: Rig) -> None:
    rig.clients.open()
    rig.made[0].error = NoCredentialsError()
    assert rig.ask() == 1


@pytest.mark.parametrize("error", [ValueError("a wrong endpoint"), OSError("no CA bundle")])
def test_settings_that_boto3_can_not_work_with_are_a_configuration_error(
    rig: Rig, error: Exception
) -> None:
    rig.problem = error
    with pytest.raises(ConfigurationError, match=str(error)):
        rig.clients.open()


def test_a_renewal_that_fails_leaves_the_error_of_the_call_and_the_old_client(rig: Rig) -> None:
    rig.clients.open()
    rig.made[0].error, rig.problem = EXPIRED, OSError("half a file")
    with pytest.raises(ClientError, match="ExpiredToken"):
        rig.ask()
    rig.made[0].error = None
    assert rig.ask() == 0


def test_a_client_is_closed_only_after_its_last_call(rig: Rig) -> None:
    rig.clients.open()
    entered, leave = threading.Event(), threading.Event()

    def slow(client: Client) -> int:
        entered.set()
        assert leave.wait(PATIENCE)
        return client.ask()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(rig.clients.call, slow)
        assert entered.wait(PATIENCE)

        def fail(client: Client) -> int:
            if client is rig.made[0]:
                raise EXPIRED
            return client.ask()

        assert rig.clients.call(fail) == 1
        assert rig.made[0].closed == 0
        leave.set()
        assert call.result(PATIENCE) == 0
    assert [client.closed for client in rig.made] == [1, 0]


def test_threads_that_fail_together_share_one_new_client(rig: Rig) -> None:
    rig.clients.open()
    together = threading.Barrier(8, timeout=PATIENCE)

    def use(client: Client) -> int:
        if client is rig.made[0]:
            together.wait()
            raise EXPIRED
        return client.ask()

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(rig.clients.call, use) for _ in range(8)]
        assert [call.result(PATIENCE) for call in calls] == [1] * 8
    assert [client.closed for client in rig.made] == [1, 0]


def test_after_the_close_nothing_is_made_any_more(rig: Rig) -> None:
    rig.clients.open()
    rig.clients.close()
    rig.clients.close()
    assert rig.made[0].closed == 1
    with pytest.raises(SqsError, match="closed"):
        rig.ask()
    assert len(rig.made) == 1


def test_a_client_that_is_made_during_the_close_is_closed(rig: Rig) -> None:
    rig.clients.open()
    rig.made[0].error = EXPIRED
    rig.meanwhile = rig.clients.close
    with pytest.raises(ClientError):
        rig.ask()
    assert [client.closed > 0 for client in rig.made] == [True, True]
