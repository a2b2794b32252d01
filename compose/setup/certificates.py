"""The internal certificate authority, and a certificate for each service: as PEM, and as PKCS #12 for Flink.

Each service mounts only its own folder. The authority's key is accessible to this step only. A certificate that expires within a
month is renewed; the service reads it when it starts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE, LIFE, RENEWED_BEFORE = timedelta(days=3650), timedelta(days=397), timedelta(days=30)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Holder:
    """The holder of a certificate.

    :param name: common name, which is the user name in Kafka; also the folder
    :param hosts: its host names; none if it is only a client
    :param owner: user and group id of its image
    :param keystore: whether it needs PKCS #12
    """

    name: str
    hosts: tuple[str, ...]
    owner: tuple[int, int]
    keystore: bool = False


class Authority:
    """Signs certificates. Created once, and stored in a folder."""

    def __init__(self, folder: Path) -> None:
        key_file, certificate_file = folder / "ca.key", folder / "ca.pem"
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lakehouse")])
            certificate = (
                _builder(name, name, key, AUTHORITY_LIFE)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .sign(key, hashes.SHA256())
            )
            _write(key_file, _key_bytes(key), 0o600)
            _write(certificate_file, certificate.public_bytes(PEM), 0o644)
        self.key = cast(
            CertificateIssuerPrivateKeyTypes, serialization.load_pem_private_key(key_file.read_bytes(), None)
        )
        self.certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())

    def issue(self, holder: Holder, folder: Path, password: str) -> None:
        """Make sure that a holder's folder has a certificate that is valid for another month.

        Files: `ca.pem`, `tls.pem` (key and certificate), `tls.key`, `tls.crt`; with a keystore also `keystore.p12`,
        `truststore.p12`, and a truststore without a password for a JVM's command line, `trusted.p12`.
        """
        if not _is_good(folder / "tls.crt", self.certificate):
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, holder.name)])
            usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            builder = _builder(name, self.certificate.subject, key, LIFE).add_extension(
                x509.ExtendedKeyUsage(usages), critical=False
            )
            if holder.hosts:
                hosts = [x509.DNSName(host) for host in holder.hosts]
                builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            certificate = builder.sign(self.key, hashes.SHA256())
            if holder.keystore:
                self._write_keystores(holder, folder, key, certificate, password)
            _write(folder / "ca.pem", self.certificate.public_bytes(PEM), 0o644)
            _write(folder / "tls.key", _key_bytes(key), 0o600)
            _write(folder / "tls.pem", _key_bytes(key) + certificate.public_bytes(PEM), 0o600)
            _write(folder / "tls.crt", certificate.public_bytes(PEM), 0o644)
            print(f"{holder.name}: a certificate until {certificate.not_valid_after_utc:%Y-%m-%d}")
        for path in (folder, *folder.iterdir()):
            os.chown(path, *holder.owner)

    def _write_keystores(
        self,
        holder: Holder,
        folder: Path,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        password: str,
    ) -> None:
        # Algorithms that every Java version supports by default.
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(10_000)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(password.encode())
        )
        name = holder.name.encode()
        keystore = pkcs12.serialize_key_and_certificates(name, key, certificate, [self.certificate], encryption)
        trusted = pkcs12.PKCS12Certificate(self.certificate, b"lakehouse")
        _write(folder / "keystore.p12", keystore, 0o600)
        _write(folder / "truststore.p12", pkcs12.serialize_java_truststore([trusted], encryption), 0o600)
        open_to_all = pkcs12.serialize_java_truststore([trusted], serialization.NoEncryption())
        _write(folder / "trusted.p12", open_to_all, 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + life)
    )


def _is_good(file: Path, authority: x509.Certificate) -> bool:
    """Whether a certificate exists, is signed by this authority, and is valid for at least a month."""
    if not file.exists():
        return False
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # any error means that it is not this authority's
        return False
    return certificate.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file atomically, with its final mode from the start."""
    draft = file.with_name(f".{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)
    draft.replace(file)
