"""The certificates, keys and kubeconfigs of a cluster, all of them files in one folder."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = "https://127.0.0.1:6443"


class Authority:
    """Signs certificates. Makes NAME.crt and NAME.key, for itself and for each that it issues."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._subject = folder, _subject(name)
        self._key = new_key(folder / f"{name}.key")
        self.certificate = folder / f"{name}.crt"
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self._write(name, _builder(self._subject, self._key).add_extension(ca, critical=True))

    def issue(self, name: str, user: str, group: str = "", hosts: Sequence[str] = ()) -> None:
        """A certificate for `user`, who may also serve as any of `hosts` (names, addresses)."""
        builder = _builder(_subject(user, group), new_key(self._folder / f"{name}.key"))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        self._write(name, builder)

    def _write(self, name: str, builder: x509.CertificateBuilder) -> None:
        signed = builder.issuer_name(self._subject).sign(self._key, hashes.SHA256())
        path = self._folder / f"{name}.crt"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A new private key, also written to `path`."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The form that the API server also takes for service accounts.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    path.chmod(0o600)
    return key


def kubeconfig(path: Path, ca: Path, user: dict[str, str]) -> Path:
    """Write to `path` how `user` reaches the API server."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": SERVER, "certificate-authority": str(ca)}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=2))
    )


def _subject(user: str, group: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
