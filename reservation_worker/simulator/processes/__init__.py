"""The parts of a system as child processes, for the demo and for tests."""

from reservation_worker.simulator.processes.child import ChildError
from reservation_worker.simulator.processes.neighbours import NeighboursProcess
from reservation_worker.simulator.processes.sqs import SqsProcess
from reservation_worker.simulator.processes.worker import WorkerProcess

__all__ = ["ChildError", "NeighboursProcess", "SqsProcess", "WorkerProcess"]
