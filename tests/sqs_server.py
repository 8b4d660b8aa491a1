"""An SQS that refuses as AWS does where the emulators are lenient: rights, keys and sizes.

A real HTTP server that speaks the part of SQS's JSON protocol that SqsQueue uses. It keeps none
of the messages that are sent to it.
"""

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ACCOUNT = "123456789012"
REGION = "ap-northeast-2"


def arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


class RefusedError(Exception):
    """The answer is an error of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class SqsServer:
    """`queue` has `queue-dlq` for its DLQ; a test changes whatever is public here."""

    def __init__(self) -> None:
        self.attributes: dict[str, dict[str, str]] = {"queue-dlq": {}, "other-dlq": {}}
        self.attributes["queue"] = {"VisibilityTimeout": "60"}
        self.redrive_to("queue-dlq")
        self.denied: set[str] = set()
        """Actions that are refused for lack of rights."""
        self.refused_keys: dict[str, str] = {}
        """Error codes by access key; "" is the request without one."""
        self.hidden_limits = False
        """Whether the attributes leave MaximumMessageSize out."""
        self.failed_entries: dict[str, str] = {}
        """Error codes by receipt."""
        self.calls: list[tuple[str, str]] = []
        """Action and access key of each request."""
        self.messages: list[dict[str, Any]] = []
        """The answer to each receive."""
        self.page: bytes | None = None
        """A proxy's answer to each request, in place of SQS's."""
        self.date: str | None = None
        """The Date of each answer; None: this machine's."""
        self.agents: list[str] = []
        self.sent: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if server.page is not None:
                    self.send_response(403)
                    self.send_header("Content-Length", str(len(server.page)))
                    self.end_headers()
                    self.wfile.write(server.page)
                    return
                server.agents.append(self.headers["User-Agent"])
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                signature = self.headers.get("Authorization", "")
                key = signature.partition("Credential=")[2].partition("/")[0]
                try:
                    status, answer, code = 200, server.answer(action, key, json.loads(body)), ""
                except RefusedError as error:
                    status, code = error.status, error.code
                    answer = {"__type": f"com.amazonaws.sqs#{code}", "message": str(error)}
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                if code:
                    self.send_header("x-amzn-query-error", f"{code};Sender")
                self.end_headers()
                self.wfile.write(raw)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(timestamp) if server.date is None else server.date

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def url(self, name: str) -> str:
        return f"{self.endpoint}/{ACCOUNT}/{name}"

    def redrive_to(self, name: str) -> None:
        """Let the RedrivePolicy of `queue` name another DLQ."""
        policy = {"deadLetterTargetArn": arn(name), "maxReceiveCount": 30}
        self.attributes["queue"]["RedrivePolicy"] = json.dumps(policy)

    def count(self, action: str) -> int:
        return sum(one == action for one, _ in self.calls)

    def answer(self, action: str, key: str, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.calls.append((action, key))
        if code := self.refused_keys.get(key):
            raise RefusedError(code, f"{code}: the key is refused", 403)
        if action in self.denied:
            raise RefusedError("AccessDenied", f"no policy allows sqs:{action}", 403)
        name = asked.get("QueueName") or asked["QueueUrl"].rpartition("/")[2]
        if name not in self.attributes:
            raise RefusedError("AWS.SimpleQueueService.NonExistentQueue", "it does not exist")
        if action == "GetQueueUrl":
            return {"QueueUrl": self.url(name)}
        if action == "GetQueueAttributes":
            found = {"QueueArn": arn(name), **self.attributes[name]}
            if self.hidden_limits:
                found.pop("MaximumMessageSize", None)
            return {"Attributes": found}
        if action == "ReceiveMessage":
            return {"Messages": self.messages} if self.messages else {}
        if action == "SendMessage":
            self._take(name, asked)
            return {"MessageId": "m"}
        done, failed = [], []
        for entry in asked["Entries"]:
            if code := self.failed_entries.get(entry["ReceiptHandle"]):
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": True})
            else:
                done.append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}

    def _take(self, name: str, asked: dict[str, Any]) -> None:
        limit = int(self.attributes[name].get("MaximumMessageSize", 1_048_576))
        weight = len(asked["MessageBody"].encode()) + sum(
            len((key + value["DataType"] + value["StringValue"]).encode())
            for key, value in asked.get("MessageAttributes", {}).items()
        )
        if weight > limit:
            reason = f"Reason: Message must be shorter than {limit} bytes."
            raise RefusedError("InvalidParameterValue", f"Parameters are invalid. {reason}")
        self.sent[name].append(asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
