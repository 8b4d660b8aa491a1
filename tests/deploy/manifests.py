"""The objects of an overlay, by kind, and what its worker is started with."""

from typing import Any

from tests.deploy.tools import Objects, rendered


class Manifests:
    """The objects of an overlay, by kind."""

    def __init__(self, folder: str) -> None:
        self.objects: Objects = rendered(folder)

    def __getitem__(self, kind: str) -> dict[str, Any]:
        [found] = [made for made in self.objects if made["kind"] == kind]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        """The pod's spec."""
        spec: dict[str, Any] = self["Deployment"]["spec"]["template"]["spec"]
        return spec

    @property
    def worker(self) -> dict[str, Any]:
        """The container."""
        [found] = self.pod["containers"]
        return dict(found)

    def environment(self) -> dict[str, str]:
        """The container's environment with its references resolved."""
        fields = {"metadata.name": "reservation-worker-7c9f-x2"}
        data = {m["metadata"]["name"]: m["data"] for m in self.objects if m["kind"] == "ConfigMap"}
        found = {}
        for entry in self.worker["env"]:
            source = entry.get("valueFrom", {})
            if ref := source.get("configMapKeyRef"):
                found[entry["name"]] = data[ref["name"]][ref["key"]]
            elif ref := source.get("fieldRef"):
                found[entry["name"]] = fields[ref["fieldPath"]]
            else:
                found[entry["name"]] = entry["value"]
        return found

    def admitted(self, app: str) -> list[int]:
        """The ports to which the NetworkPolicy admits the worker on pods with the label `app`."""
        ports = []
        for rule in self["NetworkPolicy"]["spec"]["egress"]:
            for peer in rule["to"]:
                selector = peer.get("podSelector", {})
                named = {selector.get("matchLabels", {}).get("app")}
                for expression in selector.get("matchExpressions", []):
                    assert (expression["key"], expression["operator"]) == ("app", "In")
                    named |= set(expression["values"])
                if app in named:
                    ports += [port["port"] for port in rule["ports"]]
        return ports
