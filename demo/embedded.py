"""The main job on the embedded platform; on containers it runs in the image, which has no supervisor."""

from __future__ import annotations

from demo.main_job import MainJob
from local import airflow
from local.airflow_api import AirflowApi
from local.config import Platform
from local.progress import Progress
from local.supervision import Supervisor

SCHEDULER = "airflow-scheduler"


def main_job(platform: Platform, progress: Progress) -> MainJob:
    """The main job of a running embedded platform, whose connections and variables this process uses from now on."""
    airflow.adopt(platform)
    return MainJob(AirflowApi.of(platform), progress, Supervisor(platform).info()[SCHEDULER]["start"])
