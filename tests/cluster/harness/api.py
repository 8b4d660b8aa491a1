"""The Kubernetes API as plain JSON, for the kubelet and the tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.cluster.harness.pki import SERVER

Json = dict[str, Any]
_MERGE = "application/strategic-merge-patch+json"


class Api:
    """Requests by paths such as `/api/v1/nodes`. Raises requests.HTTPError, ConnectionError."""

    def __init__(self, pki: Path, name: str = "admin") -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(pki / "ca.crt")
        self._session.cert = (str(pki / f"{name}.crt"), str(pki / f"{name}.key"))
        pool = requests.adapters.HTTPAdapter(pool_maxsize=60)
        self._session.mount("https://", pool)

    def is_ready(self) -> bool:
        """Whether the API server has come up, its own roles and namespaces included."""
        try:
            return self._session.get(f"{SERVER}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def get(self, path: str) -> Json:
        """The object or list at `path`."""
        return self._ask("GET", path)

    def find(self, path: str) -> Json | None:
        """The object at `path`; None if there is none."""
        try:
            return self.get(path)
        except requests.HTTPError as error:
            if error.response.status_code == 404:
                return None
            raise

    def create(self, path: str, body: Json) -> Json:
        """Make `body` in the list at `path`."""
        return self._ask("POST", path, body)

    def patch(self, path: str, body: Json) -> Json:
        """Merge `body` into what is at `path`, lists by their keys."""
        return self._ask("PATCH", path, body, _MERGE)

    def delete(self, path: str, body: Json) -> Json:
        """Delete what is at `path`, with the options in `body`."""
        return self._ask("DELETE", path, body)

    def watch(self, path: str, seconds: int) -> Iterator[Json]:
        """Events of the list at `path`, what is there already first, for at most `seconds`."""
        params = {"watch": "true", "timeoutSeconds": str(seconds)}
        with self._session.get(
            SERVER + path, params=params, stream=True, timeout=(10, seconds + 10)
        ) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                yield json.loads(line)

    def _ask(self, method: str, path: str, body: Json | None = None, kind: str = "") -> Json:
        headers = {"Content-Type": kind or "application/json"}
        data = None if body is None else json.dumps(body)
        answer = self._session.request(
            method, SERVER + path, data=data, headers=headers, timeout=30
        )
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.text}", response=answer)
        found: Json = answer.json()
        return found
