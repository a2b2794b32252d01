"""Grafana starts with its data source, dashboards and alert rule, and its panels get their figures by it."""

from __future__ import annotations

import json

import pytest
import requests
from compose_project import GRAFANA_PORT, OFFICIAL, Compose, secret

from local.config import ROOT

pytestmark = pytest.mark.skipif(not OFFICIAL, reason="Grafana has no stand-in: TEST_COMPOSE_IMAGES=official")

URL = f"http://127.0.0.1:{GRAFANA_PORT}/api"
DASHBOARDS = [json.loads(file.read_text()) for file in (ROOT / "compose" / "grafana" / "dashboards").glob("*.json")]


@pytest.fixture(scope="module")
def grafana(compose: Compose) -> requests.Session:
    session = requests.Session()
    session.auth = ("admin", secret("GRAFANA_ADMIN_PASSWORD"))
    return session


def get(grafana: requests.Session, path: str) -> object:
    answer = grafana.get(f"{URL}/{path}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_without_a_login_it_shows_nothing(compose: Compose):
    assert requests.get(f"{URL}/search", timeout=30).status_code == 401


def test_its_data_source_answers(grafana):
    assert get(grafana, "datasources/uid/prometheus/health")["status"] == "OK"


def test_every_dashboard_and_the_alert_rule_are_there(grafana):
    assert {found["uid"] for found in get(grafana, "search?type=dash-db")} == {board["uid"] for board in DASHBOARDS}
    assert [rule["uid"] for rule in get(grafana, "v1/provisioning/alert-rules")] == ["lakehouse-alarms"]


def test_every_query_of_every_panel_is_answered(grafana):
    for board in DASHBOARDS:
        for panel in board["panels"]:
            for target in panel["targets"]:
                query = {"refId": "A", "datasource": {"uid": "prometheus"}, "expr": target["expr"]}
                body = {"queries": [query], "from": "now-5m", "to": "now"}
                answer = grafana.post(f"{URL}/ds/query", json=body, timeout=30)
                assert answer.status_code == 200, (panel["title"], target["expr"], answer.text)
