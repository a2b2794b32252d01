"""Hosts without a proxy: those in the environment, and loopback."""

import pytest

from local import airflow, proxies


@pytest.mark.parametrize(
    ("given", "exempted"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": " .corp, 10.0.0.1"}, ".corp,10.0.0.1,localhost,127.0.0.1,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b,a"}, "a,b,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_loopback_is_added_in_both_spellings(given, exempted):
    assert proxies.exempting(given) == {"no_proxy": exempted, "NO_PROXY": exempted}
    assert proxies.exempting(proxies.exempting(given)) == proxies.exempting(given)


def test_airflow_and_shells_get_it(platform, dead_proxy):
    assert airflow.environment(platform)["NO_PROXY"] == "localhost,127.0.0.1,::1"
