"""The process list: all services of the platform, their commands and health probes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local import airflow, flink, java, kafka, postgres, probes, registry
from local.config import ROOT, Platform


def _nothing() -> None:
    """Most services need no step before or after their start."""


@dataclass(frozen=True)
class Service:
    """A supervised process.

    It runs in `folder`, or in its folder for temporary files if that is None.
    `command` is called when the supervisor is configured. `needs` names the services that must be healthy before this one is
    started; `prepare` runs before its start, `complete` once its probe succeeds (it counts as healthy after that).
    """

    name: str
    command: Callable[[], list[str]]
    port: str | None
    probe: probes.Probe
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = _nothing
    complete: Callable[[], None] = _nothing
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 20


def services(platform: Platform) -> list[Service]:
    """All services, in the reverse order of stopping: writers are stopped before storage."""
    port = platform.port
    flink_environment = flink.environment(platform)
    return [
        Service(
            name="postgres",
            command=lambda: postgres.command(platform),
            port="POSTGRES_PORT",
            probe=probes.postgres(port("POSTGRES_PORT"), platform.values["POSTGRES_PASSWORD"]),
            prepare=lambda: postgres.prepare(platform),
            complete=lambda: postgres.complete(platform),
            user=postgres.account(),
            stop_signal="INT",  # disconnect clients, then stop
            stop_seconds=60,
        ),
        Service(
            name="kafka",
            command=lambda: kafka.command(platform),
            port="KAFKA_PORT",
            probe=probes.kafka(port("KAFKA_PORT")),
            prepare=lambda: kafka.prepare(platform),
            environment=java.ENVIRONMENT,
            folder=kafka.folder(platform),
            stop_seconds=60,
        ),
        Service(
            name="registry",
            command=lambda: registry.command(platform),
            port="REGISTRY_PORT",
            probe=probes.http_ok(port("REGISTRY_PORT"), "/health/ready"),
            environment=registry.environment(platform),
            folder=registry.folder(platform),
        ),
        Service(
            name="flink-taskmanager",
            command=lambda: flink.taskmanager(platform),
            port="FLINK_TASKMANAGER_PORT",
            probe=probes.http_ok(port("FLINK_REST_PORT"), "/overview", lambda overview: overview["taskmanagers"] > 0),
            environment=flink_environment,
        ),
        Service(
            name="flink-jobmanager",
            command=lambda: flink.jobmanager(platform),
            port="FLINK_REST_PORT",
            probe=probes.http_ok(port("FLINK_REST_PORT"), "/overview"),
            environment=flink_environment,
        ),
        Service(
            name="flink-sql-gateway",
            command=lambda: flink.gateway(platform),
            port="FLINK_GATEWAY_PORT",
            probe=probes.http_ok(port("FLINK_GATEWAY_PORT"), "/info"),
            environment=flink_environment,
        ),
        Service(
            name="airflow-api-server",
            command=lambda: airflow.command("api-server"),
            port="AIRFLOW_PORT",
            probe=probes.http_ok(port("AIRFLOW_PORT"), "/api/v2/version"),
            environment=airflow.environment(platform),
            folder=ROOT,
            needs=("postgres",),
            prepare=lambda: airflow.prepare(platform),
        ),
        *(_airflow_daemon(platform, component) for component in ("dag-processor", "triggerer", "scheduler")),
    ]


def _airflow_daemon(platform: Platform, component: str) -> Service:
    """A component of Airflow that does not listen on a port: the API server reports its heartbeat."""
    healthy = probes.http_ok(
        platform.port("AIRFLOW_PORT"),
        "/api/v2/monitor/health",
        lambda health: health[component.replace("-", "_")]["status"] == "healthy",
    )
    return Service(
        name=f"airflow-{component}",
        command=lambda: airflow.command(component),
        port=None,
        probe=healthy,
        environment=airflow.environment(platform),
        folder=ROOT,
        needs=("airflow-api-server",),
    )
