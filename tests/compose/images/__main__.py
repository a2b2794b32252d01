"""Builds the missing stand-ins: `python -m tests.compose.images`. Needs root, Docker, debootstrap and Go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.config import CONF, JARS, ROOT, site_packages

HERE = Path(__file__).parent
PREFIX = "standin"
STAGES = (
    "maven", "kafka", "flink", "registry", "postgres", "airflow", "haproxy", "versitygw", "prometheus", "statsd-exporter",
    "postgres-exporter",
)  # fmt: skip
PACKAGES = "ca-certificates,curl,wget,netcat-openbsd,procps,gosu,gettext-base"
#: Programs that are built here.
PROGRAMS = (
    "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "github.com/prometheus/prometheus/cmd/prometheus@v0.316.0",
    "github.com/prometheus/prometheus/cmd/promtool@v0.316.0",
    "github.com/prometheus/statsd_exporter@v0.31.0",
)
#: The only service discovery of Prometheus that docker-compose.yaml uses.
TAGS = "remove_all_sd,enable_dns_sd"
OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")


def run(*command: str, **more: object) -> None:
    """Run a command; raise an error if it fails."""
    print("+", " ".join(map(str, command))[:160], flush=True)
    subprocess.run(list(map(str, command)), check=True, **more)


def exists(image: str) -> bool:
    """Whether Docker has an image."""
    return not subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode


def make_base(folder: Path) -> None:
    """Build Debian with the common packages, and the certificates that this machine trusts in addition to the usual ones."""
    root = folder / "root"
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root)
    shutil.copytree(OWN_CERTIFICATES, root / OWN_CERTIFICATES.relative_to("/"), dirs_exist_ok=True)
    run("chroot", root, "update-ca-certificates")
    run("chroot", root, "apt-get", "clean")
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
        trusted = "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt"
        run("docker", "import", "--change", trusted, "-", f"{PREFIX}/base", stdin=tar.stdout)


def fill(context: Path) -> None:
    """Collect the contents of the images: the artifacts of the embedded platform, and programs built here."""
    for file in HERE.iterdir():
        if file.is_file() and file.suffix != ".py":
            shutil.copy(file, context)
    packages = site_packages()
    shutil.copytree(packages / "pyflink", context / "pyflink", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(CONF / "flink-log4j2.properties", context)
    for name in ("kafka", "registry"):
        shutil.copytree(JARS / name, context / name)
    (context / "flink-sql-gateway").mkdir()
    for jar in (JARS / "flink").glob("flink-sql-gateway-*.jar"):
        shutil.copy(jar, context / "flink-sql-gateway")
    pins = re.findall(
        r"^([a-z0-9._-]+)(?:\[[a-z,_-]+\])?(==[^\\\n]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    (context / "airflow-constraints.txt").write_text("".join(f"{name}{version}\n" for name, version in pins))
    environment = {**os.environ, "GOBIN": str(context), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    for program in PROGRAMS:
        run("go", "install", f"-tags={TAGS}", program, env=environment)


def main() -> None:
    """Build missing images."""
    missing = [stage for stage in STAGES if not exists(f"{PREFIX}/{stage}")] if len(sys.argv) < 2 else sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="standins-") as folder:
        if not exists(f"{PREFIX}/base"):
            make_base(Path(folder))
        context = Path(folder, "context")
        context.mkdir()
        if missing:
            fill(context)
        for stage in missing:
            run(
                "docker", "build", "--quiet", "--network=host", f"--build-arg=BASE={PREFIX}/base", f"--target={stage}",
                f"--tag={PREFIX}/{stage}", context, env={**os.environ, "DOCKER_BUILDKIT": "0"},
            )  # fmt: skip


if __name__ == "__main__":
    main()
