"""The parts of a whole system as child processes, for the demo and for tests."""

from reservation_worker.simulator.child import ChildError
from reservation_worker.simulator.process_neighbours import NeighboursProcess
from reservation_worker.simulator.process_sqs import SqsProcess
from reservation_worker.simulator.process_worker import WorkerProcess

__all__ = ["ChildError", "NeighboursProcess", "SqsProcess", "WorkerProcess"]
