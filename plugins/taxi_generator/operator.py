"""The operator that runs the generator in a container."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.airflow.connections import get_connection
from taxi_generator import pipeline
from taxi_generator.environment import environment_of

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Params of the run that are also options of the command line.
ARGUMENTS = ("events", "mode", "rate", "seed")
TLS = "/tls"


class GeneratorContainerOperator(DockerOperator):
    """Sends trips from a container, as configured by the run's params, and returns the generator's summary.

    The connection `docker_default` is Docker's API; the variable `generator_container` has the image, network, volume of
    certificates and memory; the connection `kafka_generator` has the credentials for Kafka. The container is removed when the
    task ends.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            image="{{ var.json.generator_container.image }}",
            entrypoint=["python", "-m", "taxi_generator"],
            auto_remove="force",
            mount_tmp_dir=False,
            xcom_all=True,
            **kwargs,
        )

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Run the container to its end.

        :raises AirflowFailException: there is no Docker, the params are not possible in a container, or the generator failed; the
            message has the next step
        """
        if context["params"]["source"]:
            raise AirflowFailException(
                f"A container has no access to the worker's file {context['params']['source']}. "
                "Next: choose `worker`, or send synthetic trips."
            )
        self._find_docker()
        self._fill_in(Variable.get("generator_container", deserialize_json=True))
        self.command = self._arguments(context["params"])
        self.log.info("python -m taxi_generator %s", " ".join(self.command))
        try:
            lines = super().execute(context) or []
        except DockerContainerFailedException as error:
            raise AirflowFailException(
                "\n".join(["The generator failed:", *map(str, (error.logs or [])[-3:])])
            ) from error
        return json.loads(next(line for line in reversed(lines) if line.startswith("{")))

    def _find_docker(self) -> None:
        docker = get_connection("docker_default")
        if not docker.host:
            raise AirflowFailException(
                "No Docker can run the generator: the connection docker_default has no host. Next: choose `worker`, use the "
                "platform on containers (make compose-up), or set a host in airflow_settings.yaml."
            )
        self.docker_url = docker.host
        self.tls_ca_cert = docker.extra_dejson.get("verify")
        # One file contains both, as for Flink.
        self.tls_client_cert = self.tls_client_key = docker.extra_dejson.get("cert")

    def _fill_in(self, container: dict[str, str]) -> None:
        self.network_mode = container["network"] or None
        self.mem_limit = container["memory"]
        if volume := container["certificates"]:
            self.mounts = [{"type": "volume", "source": volume, "target": TLS, "read_only": True}]
        kafka = get_connection("kafka_generator").extra_dejson
        try:
            # Private: not shown in logs or in the web UI.
            self._private_environment = environment_of(kafka, get_connection("schema_registry").host or "")
        except ValueError as error:
            raise AirflowFailException(f"The connection kafka_generator: {error}. Next: choose `worker`.") from error

    def _arguments(self, params: dict[str, Any]) -> list[str]:
        pickup_from, pickup_to = pipeline.window()
        wanted = {name: params[name] for name in ARGUMENTS} | {
            "topic": pipeline.topic(),
            "pickup-from": pickup_from,
            "pickup-to": pickup_to,
            "summary": "-",
        }
        return [f"--{name}={value}" for name, value in wanted.items() if value is not None]
