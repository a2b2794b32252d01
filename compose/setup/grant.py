"""Sets up running services: Kafka's users and their permissions, and the bucket with its policy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from lakehouse.pipelines.load import declarations

LIMIT_S = 60
TLS = "/tls"
#: Prefix of the platform's consumer groups: those of the jobs, of the audit, and of replays.
GROUPS = "lakehouse-"
#: Kafka user -> permissions on the pipelines' topics, and on the platform's consumer groups.
PERMISSIONS = {
    "airflow": (
        (
            AclOperation.CREATE,
            AclOperation.DESCRIBE_CONFIGS,
            AclOperation.ALTER_CONFIGS,
            AclOperation.READ,
            AclOperation.WRITE,
        ),
        (AclOperation.READ,),
    ),
    "flink": ((AclOperation.READ,), (AclOperation.READ,)),
    "generator": ((AclOperation.WRITE,), ()),
}


def acls(topics: Iterable[str]) -> list[AclBinding]:
    """The permissions of all users on these topics."""
    topics = list(topics)
    return [
        _allow(user, kind, name, pattern, operation)
        for user, (of_topics, of_groups) in PERMISSIONS.items()
        for kind, names, pattern, operations in (
            (ResourceType.TOPIC, topics, ResourcePatternType.LITERAL, of_topics),
            (ResourceType.GROUP, [GROUPS], ResourcePatternType.PREFIXED, of_groups),
        )
        for name in names
        for operation in operations
    ]


def declared_topics() -> list[str]:
    """The topics of all pipelines, enabled or not; invalid declarations are reported and skipped."""
    declared = declarations()
    for problem in declared.problems.values():
        print(f"no permissions for include/pipelines/{problem}", file=sys.stderr)
    return [pipeline.topic.name for pipeline in declared.pipelines.values()]


def kafka() -> None:
    """Set all users' passwords and permissions."""
    client = AdminClient(
        {
            "bootstrap.servers": "kafka:9094",
            "security.protocol": "SSL",
            "ssl.ca.location": f"{TLS}/ca.pem",
            "ssl.certificate.location": f"{TLS}/tls.crt",
            "ssl.key.location": f"{TLS}/tls.key",
        }
    )
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    passwords: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, info, os.environ[f"KAFKA_{user.upper()}_PASSWORD"].encode())
        for user in PERMISSIONS
    ]
    bindings = acls(declared_topics())
    for answers in (client.alter_user_scram_credentials(passwords), client.create_acls(bindings)):
        for future in answers.values():
            future.result(timeout=LIMIT_S)
    print(f"Kafka: {len(passwords)} users, {len(bindings)} permissions")


def _allow(
    user: str, kind: ResourceType, name: str, pattern: ResourcePatternType, operation: AclOperation
) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


def policy(bucket: str) -> dict[str, Any]:
    """The bucket's policy: Flink and maintenance write and delete, readers read the tables.

    Flink deletes old checkpoints, old metadata files, and files that only expired snapshots reference.
    """
    everything, tables, state = (f"arn:aws:s3:::{bucket}{path}" for path in ("", "/warehouse/*", "/flink/*"))
    write = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    operations = [
        (["writer", "maintenance", "reader"], ["s3:ListBucket", "s3:GetBucketLocation"], [everything]),
        (["writer", "maintenance"], ["s3:ListBucketMultipartUploads"], [everything]),
        # Clients that list a folder request an object of its name first.
        (["writer", "maintenance", "reader"], ["s3:GetObject"], [tables, f"{everything}/warehouse"]),
        (["writer", "maintenance"], ["s3:GetObject"], [state, f"{everything}/flink"]),
        (["writer", "maintenance"], write, [tables]),
        (["writer", "maintenance"], [*write, "s3:DeleteObject"], [state]),
        (["writer"], ["s3:DeleteObject"], [f"{everything}/warehouse/*/{part}/*" for part in ("data", "metadata")]),
        (["maintenance"], ["s3:DeleteObject"], [tables]),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": who, "Action": actions, "Resource": where}
            for who, actions, where in operations
        ],
    }


def object_store() -> None:
    """Create the bucket if it is missing, and set its policy."""
    bucket = os.environ["STORE_BUCKET"]
    client = botocore.session.get_session().create_client("s3")
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(bucket)))
    print(f"Object store: bucket {bucket} and its policy")


if __name__ == "__main__":
    kafka()
    object_store()
