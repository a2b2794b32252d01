"""Runs a JSON list of queries (first argument) against Prometheus, in a container; prints the number of series of each."""

import json
import sys

import requests

prometheus = requests.Session()
prometheus.verify, prometheus.cert = "/tls/ca.pem", "/tls/tls.pem"
found = {}
for query in json.loads(sys.argv[1]):
    answer = prometheus.get("https://prometheus:9090/api/v1/query", params={"query": query}, timeout=30).json()
    found[query] = len(answer["data"]["result"]) if answer["status"] == "success" else answer["error"]
print(json.dumps(found))
