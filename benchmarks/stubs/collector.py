"""An OTLP collector that counts what it is sent."""

import asyncio
from collections import Counter
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
    """Spans and exports since the mark, and spans by name."""

    def __init__(self) -> None:
        self.spans: Counter[str] = Counter()
        self.exports = 0

    async def Export(self, request: Any, context: Any) -> Any:
        """Count one export."""
        self.exports += 1
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.update(span.name for span in scope.spans)
        return pb.ExportTraceServiceResponse()

    def handle(self, request: Request) -> None:
        """The harness's own calls."""
        if request.path == "/bench/mark":
            self.spans.clear()
            self.exports = 0
        request.reply(
            {"spans": self.spans.total(), "exports": self.exports, "by_name": dict(self.spans)}
        )


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
