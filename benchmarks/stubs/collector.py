"""An OTLP collector that counts the spans that it receives."""

import asyncio
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from benchmarks.stubs.http import HOST, Request, listen
from reservation_worker.simulator.processes.serve import serve_until, stop_on_signals


class Collector(TraceServiceServicer):
    """Spans since the mark."""

    def __init__(self) -> None:
        self.spans = 0

    async def Export(self, request: Any, context: Any) -> Any:
        """Count one export."""
        scopes = (scope for resource in request.resource_spans for scope in resource.scope_spans)
        self.spans += sum(len(scope.spans) for scope in scopes)
        return pb.ExportTraceServiceResponse()

    def handle(self, request: Request) -> None:
        """The harness's own calls."""
        if request.path == "/bench/mark":
            self.spans = 0
        request.reply({"spans": self.spans})


async def main() -> None:
    """Serve until told to stop."""
    stop = stop_on_signals()
    collector = Collector()
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(collector, server)
    otlp = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    port = await listen(collector.handle)
    await asyncio.to_thread(serve_until, stop, http=port, otlp=otlp)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
