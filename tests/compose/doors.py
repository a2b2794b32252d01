"""Tries unauthorised access to every service, in a container; prints the result of each attempt as JSON."""

import json
import os
import socket

import botocore.session
import psycopg2
import requests
from botocore import UNSIGNED
from botocore.config import Config
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

TOPIC, CA = "taxi.raw_trips", "/tls/ca.pem"
met = {}


def attempt(name):
    """Record the attempt's error, or what it got."""

    def decorate(door):
        try:
            met[name] = f"OPEN: {door()}"
        except Exception as error:
            met[name] = f"{type(error).__name__}: {error}"
        return door

    return decorate


def kafka(user="airflow", password=None, **more):
    return {
        "bootstrap.servers": "kafka:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": password or os.environ["KAFKA_PASSWORD"],
        "ssl.ca.location": CA,
        "log_level": 0,
        **more,
    }


@attempt("Kafka without a password")
def _():
    return list(AdminClient({"bootstrap.servers": "kafka:9092", "log_level": 0}).list_topics(timeout=8).topics)


@attempt("Kafka with a wrong password")
def _():
    return list(AdminClient(kafka(password="guessed")).list_topics(timeout=8).topics)


@attempt("Kafka: another topic")
def _():
    producer, errors = Producer(kafka(**{"message.timeout.ms": 8000})), []
    producer.produce("another.topic", b"x", on_delivery=lambda error, message: errors.append(error))
    producer.flush(15)
    if errors and errors[0]:
        raise KafkaException(errors[0])


@attempt("Kafka's own listener without a certificate")
def _():
    config = {"bootstrap.servers": "kafka:9094", "security.protocol": "SSL", "ssl.ca.location": CA, "log_level": 0}
    return list(AdminClient(config).list_topics(timeout=8).topics)


@attempt("Kafka: another consumer group")
def _():
    consumer = Consumer(kafka(**{"group.id": "somebody-else"}))
    consumer.subscribe([TOPIC])
    message = consumer.poll(10)
    consumer.close()
    if message is None or message.error():
        raise KafkaException(message and message.error())
    return message.value()


def s3(key=None):
    secrets = {
        "reader": os.environ["LAKEHOUSE_READER_SECRET_ACCESS_KEY"],
        "maintenance": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    if key is None:
        return botocore.session.get_session().create_client("s3", config=Config(signature_version=UNSIGNED))
    return botocore.session.get_session().create_client("s3", aws_access_key_id=key, aws_secret_access_key=secrets[key])


@attempt("the bucket without a key")
def _():
    return s3().list_objects_v2(Bucket="lakehouse")["KeyCount"]


@attempt("the bucket with the reader's key: writing")
def _():
    return s3("reader").put_object(Bucket="lakehouse", Key="warehouse/x", Body=b"x")


@attempt("the bucket with the reader's key: checkpoints")
def _():
    return s3("reader").get_object(Bucket="lakehouse", Key="flink/jobs/nyc_taxi.bronze.json")


@attempt("the bucket with the reader's key: deleting")
def _():
    return s3("reader").delete_object(Bucket="lakehouse", Key="warehouse/x")


@attempt("Flink's REST API without a certificate")
def _():
    return requests.get("https://flink-jobmanager:8081/jobs", verify=CA, timeout=8).text


@attempt("Flink's SQL Gateway without a certificate")
def _():
    return requests.get("https://flink-sql-gateway:8083/info", verify=CA, timeout=8).text


@attempt("PostgreSQL: another's database")
def _():
    password = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].split(":")[2].split("@")[0]
    return psycopg2.connect(host="postgres", dbname="iceberg", user="airflow", password=password, connect_timeout=8)


@attempt("PostgreSQL without encryption")
def _():
    password = os.environ["POSTGRES_ICEBERG_PASSWORD"]
    return psycopg2.connect(host="postgres", dbname="iceberg", user="iceberg", password=password, sslmode="disable")


@attempt("PostgreSQL's administrator")
def _():
    return psycopg2.connect(host="postgres", dbname="postgres", user="postgres", password="postgres", connect_timeout=8)


@attempt("the schema registry: writing without a login")
def _():
    answer = requests.post(
        "https://schema-registry:8443/apis/ccompat/v7/subjects/x/versions", json={"schema": "{}"}, verify=CA, timeout=8
    )
    answer.raise_for_status()
    return answer.text


@attempt("Airflow without a login")
def _():
    answer = requests.get("http://airflow-api-server:8080/api/v2/dags", timeout=8)
    answer.raise_for_status()
    return answer.text


@attempt("the object store without encryption")
def _():
    return requests.get("http://object-store:7070/lakehouse", timeout=8).text


@attempt("Prometheus without a certificate")
def _():
    return requests.get("https://prometheus:9090/api/v1/targets", verify=CA, timeout=8).text


def docker(method, path, body=None, cert="/tls/tls.pem"):
    gate = os.environ["DOCKER_URL"]
    answer = requests.request(method, f"{gate}{path}", json=body, verify=CA, cert=cert, timeout=8)
    if not answer.ok:
        raise RuntimeError(answer.text)
    return answer.text


CONTAINER = {"Image": os.environ["GENERATOR_IMAGE"], "Cmd": ["--events=1"], "Env": []}


@attempt("Docker without a certificate")
def _():
    return docker("GET", "/version", cert=None)


@attempt("Docker: the machine's root as a volume")
def _():
    return docker("POST", "/containers/create", {**CONTAINER, "HostConfig": {"Binds": ["/:/host"]}})


@attempt("Docker: a privileged container")
def _():
    return docker("POST", "/v1.41/containers/create", {**CONTAINER, "HostConfig": {"Privileged": True}})


@attempt("Docker: another command")
def _():
    return docker("POST", "/containers/create", {**CONTAINER, "Entrypoint": ["sh"]})


@attempt("Docker: all containers")
def _():
    return docker("GET", "/containers/json")


@attempt("Docker's own socket")
def _():
    connection = socket.socket(socket.AF_UNIX)
    return connection.connect("/var/run/docker.sock") or connection.connect("/run/docker.sock")


print(json.dumps(met))
