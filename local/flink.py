"""The processes of the Flink cluster, started like by Flink's scripts, which its Python package lacks."""

import hashlib
import json
from pathlib import Path

import yaml

from local import java
from local.config import CONF, JARS, OBJECT_STORE, ROOT, Platform, PlatformError, site_packages, write_private
from local.generated import render, yaml_scalar

HOME = site_packages() / "pyflink"
COMMON = ROOT / "flink" / "config.yaml"
JOBMANAGER, TASKMANAGER = "flink-jobmanager", "flink-taskmanager"
_PREFIX = "BASH_JAVA_UTILS_EXEC_RESULT:"


def configure(platform: Platform) -> None:
    """Write the cluster's configuration."""
    config = _conf(platform) / "config.yaml"
    render("flink.yaml.j2", config, {**platform.values, "taskmanager_log": _log(platform, TASKMANAGER)}, yaml_scalar)
    with config.open("a") as file:
        file.write(COMMON.read_text())


def environment(platform: Platform) -> dict[str, str]:
    """The environment variables of Flink's processes."""
    folders = {"FLINK_CONF_DIR": _conf(platform), "FLINK_LIB_DIR": HOME / "lib", "FLINK_PLUGINS_DIR": HOME / "plugins"}
    store = {name: platform.values[name] for name in OBJECT_STORE if platform.values.get(name)}
    return java.ENVIRONMENT | store | {name: str(path) for name, path in folders.items()}


def jobmanager(platform: Platform) -> list[str]:
    """The JobManager of a session cluster."""
    jvm, dynamic = _memory(platform, "JM")
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    return [
        *_java(platform, jvm, f"-Dlog.file={_log(platform, JOBMANAGER)}"),
        main,
        *_conf_dir(platform),
        "--executionMode",
        "cluster",
        *dynamic,
    ]


def taskmanager(platform: Platform) -> list[str]:
    """The TaskManager. It has a lower priority than other services, because it uses all cores while it catches up."""
    jvm, dynamic = _memory(platform, "TM")
    main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    return ["nice", *_java(platform, jvm), main, *_conf_dir(platform), *dynamic]


def gateway(platform: Platform) -> list[str]:
    """The SQL Gateway. It plans and submits in bursts, so fast JIT compilation matters more than optimised code."""
    jvm = ["-Xms64m", "-Xmx256m", "-XX:MaxMetaspaceSize=256m", "-XX:TieredStopAtLevel=1"]
    return [*_java(platform, jvm), "org.apache.flink.table.gateway.SqlGateway"]


def _conf(platform: Platform) -> Path:
    return platform.home / "flink" / "conf"


def _conf_dir(platform: Platform) -> list[str]:
    return ["--configDir", str(_conf(platform))]


def _log(platform: Platform, process: str) -> Path:
    """The log file, which the supervisor writes and the web UI shows."""
    return platform.logs / f"{process}.log"


def _java(platform: Platform, jvm: list[str], *options: str) -> list[str]:
    """A JVM of Flink. It runs in its folder for temporary files, and uses `.` for it, because Flink splits paths at commas."""
    return [
        *java.java(Path()),
        *jvm,
        *yaml.safe_load(COMMON.read_text())["env.java.opts.all"].split(),
        f"-Dlog4j.configurationFile={(CONF / 'flink-log4j2.properties').as_uri()}",
        *options,
        "-cp",
        _class_path(platform),
    ]


def _class_path(platform: Platform) -> str:
    """The class path: Flink, its connectors and Iceberg; AWS' 64 MB only for a warehouse on S3."""
    jars = [
        *(HOME / "lib").glob("*.jar"),
        *(HOME / "opt").glob("flink-sql-client-*.jar"),
        *(JARS / "flink").glob("*.jar"),
    ]
    if not platform.values["LAKEHOUSE_WAREHOUSE"].startswith("s3"):
        jars = [jar for jar in jars if not jar.name.startswith("iceberg-aws-bundle")]
    return ":".join(str(jar) for jar in sorted(jars))


def _memory(platform: Platform, process: str) -> tuple[list[str], list[str]]:
    """JVM and dynamic options that Flink computes from its configuration; cached until that changes."""
    config = _conf(platform) / "config.yaml"
    kept = _conf(platform) / f"memory-{process}.json"
    fingerprint = hashlib.sha256(config.read_bytes()).hexdigest()
    if kept.is_file() and (memory := json.loads(kept.read_text()))["config"] == fingerprint:
        return memory["jvm"], memory["dynamic"]
    class_path = ":".join(str(jar) for jar in (*(HOME / "bin").glob("*.jar"), *(HOME / "lib").glob("flink-dist-*.jar")))
    main = ["org.apache.flink.runtime.util.bash.BashJavaUtils", f"GET_{process}_RESOURCE_PARAMS"]
    # --bindir is required but not used
    run = java.run(_conf(platform), "-cp", class_path, *main, *_conf_dir(platform), "--bindir", str(HOME))
    results = [line.removeprefix(_PREFIX).split() for line in run.stdout.splitlines() if line.startswith(_PREFIX)]
    if run.returncode or len(results) != 2:
        raise PlatformError(f"Flink refuses the memory settings of {config}: {(run.stderr or run.stdout).strip()}")
    write_private(kept, json.dumps({"config": fingerprint, "jvm": results[0], "dynamic": results[1]}))
    return results[0], results[1]
