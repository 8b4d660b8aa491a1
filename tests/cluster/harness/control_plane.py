"""etcd, the API server, the controllers and the scheduler, as processes of this machine."""

from contextlib import ExitStack
from pathlib import Path

from reservation_worker.simulator.processes.child import Child, poll_until
from tests.cluster.harness.api import Api
from tests.cluster.harness.network import HOST
from tests.cluster.harness.pki import Authority, kubeconfig, new_key

_ETCD = "http://127.0.0.1:2379"
_CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


class Program(Child):
    """A program of the cluster. It ends with the `with` block it was started in."""

    def __init__(self, path: Path, flags: dict[str, str], env: dict[str, str], to: Path) -> None:
        self.name = path.name
        options = [f"--{flag}={value}" for flag, value in flags.items()]
        super().__init__([str(path), *options], env, to)

    def stop(self, timeout: float = 1.0) -> None:
        """End it, soon: nobody will need what it would write or hand over."""
        super().stop(timeout)


def certificates(pki: Path) -> None:
    """Write all certificates and kubeconfigs below `pki`."""
    pki.mkdir()
    ca, front = Authority(pki, "ca"), Authority(pki, "front-proxy-ca")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    ca.issue("apiserver", "kube-apiserver", hosts=[*names, "127.0.0.1", HOST, "10.96.0.1"])
    ca.issue("admin", "admin", "system:masters")
    front.issue("front-proxy-client", "front-proxy-client")
    new_key(pki / "service-accounts.key")
    for name in ("admin", *_CONTROLLERS):
        if name != "admin":
            ca.issue(name, f"system:{name}")
        user = {"client-certificate": f"{pki}/{name}.crt", "client-key": f"{pki}/{name}.key"}
        kubeconfig(pki / f"{name}.conf", ca.certificate, user)
    webhook = "keda-admission-webhooks.keda.svc"
    services = [webhook, "keda-metrics-apiserver.keda.svc", "keda-operator.keda.svc"]
    (pki / "keda").mkdir()
    ca.issue("keda/tls", "keda", hosts=[*services, "localhost", "127.0.0.1", HOST])
    (pki / "keda" / "ca.crt").write_bytes(ca.certificate.read_bytes())
    token = {"tokenFile": str(pki / "keda.token")}
    kubeconfig(pki / "keda.conf", ca.certificate, token)


def start_control_plane(programs: Path, folder: Path, ends: ExitStack) -> Api:
    """Start all of it, its certificates in `folder`/pki, and wait until it works."""
    pki = folder / "pki"
    certificates(pki)
    etcd = {
        "data-dir": f"{folder}/etcd-data",
        "listen-client-urls": _ETCD,
        "advertise-client-urls": _ETCD,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    ends.enter_context(Program(programs / "etcd", etcd, {}, folder))
    server = Program(programs / "kube-apiserver", _api_server(pki), {}, folder)
    ends.enter_context(server)
    api = Api(pki)
    server.until(api.is_ready, 120, "become ready")
    for name in _CONTROLLERS:
        config = f"{pki}/{name}.conf"
        flags = {"kubeconfig": config, "bind-address": "127.0.0.1", "leader-elect": "false"}
        flags |= {"authentication-kubeconfig": config, "authorization-kubeconfig": config}
        if name == "kube-controller-manager":
            flags |= {
                "use-service-account-credentials": "true",
                "service-account-private-key-file": f"{pki}/service-accounts.key",
                "root-ca-file": f"{pki}/ca.crt",
            }
        ends.enter_context(Program(programs / name, flags, {}, folder))
    default = "/api/v1/namespaces/default/serviceaccounts/default"
    assert poll_until(lambda: api.find(default) is not None, 60), "no controller works"
    return api


def _api_server(pki: Path) -> dict[str, str]:
    return {
        "etcd-servers": _ETCD,
        "secure-port": "6443",
        "bind-address": "127.0.0.1",
        "advertise-address": HOST,
        "tls-cert-file": f"{pki}/apiserver.crt",
        "tls-private-key-file": f"{pki}/apiserver.key",
        "client-ca-file": f"{pki}/ca.crt",
        "authorization-mode": "Node,RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": f"{pki}/service-accounts.key",
        "service-account-signing-key-file": f"{pki}/service-accounts.key",
        "service-cluster-ip-range": "10.96.0.0/16",
        # For KEDA's metrics: requests are passed on to endpoints, since no kube-proxy makes the
        # addresses of Services work.
        "enable-aggregator-routing": "true",
        "requestheader-client-ca-file": f"{pki}/front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": f"{pki}/front-proxy-client.crt",
        "proxy-client-key-file": f"{pki}/front-proxy-client.key",
    }
