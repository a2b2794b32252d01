"""The internal authority: holders of certificates, and their renewal."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from compose.setup import certificates
from compose.setup.certificates import Authority, Holder

ME = (os.getuid(), os.getgid())
FLINK = Holder("flink", ("flink-jobmanager", "flink-sql-gateway"), ME, keystore=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flink").mkdir()
    return tmp_path / "flink"


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())


def test_a_certificate_names_its_holder_and_hosts(authority, folder):
    authority.issue(FLINK, folder, "secret")
    issued = certificate(folder)
    issued.verify_directly_issued_by(authority.certificate)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )
    assert (issued.subject.rfc4514_string(), names) == ("CN=flink", ["flink-jobmanager", "flink-sql-gateway"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {name for name, mode in modes.items() if mode != 0o600} == {"ca.pem", "tls.crt", "trusted.p12"}


def test_keystores_hold_the_same(authority, folder):
    authority.issue(FLINK, folder, "secret")
    key, held, _ = pkcs12.load_key_and_certificates((folder / "keystore.p12").read_bytes(), b"secret")
    assert (held, key.public_key()) == (certificate(folder), certificate(folder).public_key())
    for name, password in (("truststore.p12", b"secret"), ("trusted.p12", None)):
        trusted = pkcs12.load_pkcs12((folder / name).read_bytes(), password)
        assert [found.certificate for found in trusted.additional_certs] == [authority.certificate]


def test_a_certificate_is_renewed_only_shortly_before_it_expires(authority, folder, tmp_path, monkeypatch):
    authority.issue(FLINK, folder, "secret")
    first = certificate(folder)
    assert first.not_valid_after_utc - datetime.now(UTC) > timedelta(days=390)
    Authority(tmp_path / "ca").issue(FLINK, folder, "secret")
    assert certificate(folder) == first
    monkeypatch.setattr(certificates, "RENEWED_BEFORE", timedelta(days=398))
    authority.issue(FLINK, folder, "secret")
    assert certificate(folder) != first


def test_a_certificate_of_another_authority_is_replaced(authority, folder, tmp_path):
    (tmp_path / "other").mkdir()
    Authority(tmp_path / "other").issue(FLINK, folder, "secret")
    authority.issue(FLINK, folder, "secret")
    certificate(folder).verify_directly_issued_by(authority.certificate)
