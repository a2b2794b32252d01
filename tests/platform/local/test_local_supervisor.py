"""The supervisor's daemon: what it passes to its services, what it hides from others, and why it does not start."""

import dataclasses
import json
import stat
import sys

import psutil
import pytest

from lakehouse.waiting import wait_until
from local import airflow, config, flink
from local.config import PlatformError
from local.services import services
from local.supervision import Supervisor, members, stop

WRITE_ENVIRONMENT = """
import json, os, signal, sys
with open(sys.argv[0] + ".new", "w") as file:
    json.dump(dict(os.environ), file)
os.rename(sys.argv[0] + ".new", sys.argv[0] + ".json")
signal.pause()
"""
RENAME = """
import setproctitle, signal
setproctitle.setproctitle("x" * 100_000)
ready()
signal.pause()
"""


def _started(supervisor: Supervisor, name: str) -> psutil.Process:
    supervisor.call("startProcess", name, True)
    return psutil.Process(supervisor.info()[name]["pid"])


def test_values_with_odd_characters_reach_the_service(tmp_path, supervisor, fake):
    odd = {
        "PERCENT": "100%(host)s %41",
        "QUOTE": "it's $HOME `date` \\n",
        "MARKS": "a,b=c;d#e [x] ä",
        "EMPTY": "",
        "BLANK": " padded ",
        "QUOTED": "'quoted' and \"quoted\"",
        "COMMENTS": "a ; b #c",
        "LINES": "two\nlines",
    }
    supervisor.launch([fake("service", WRITE_ENVIRONMENT, environment=odd)])
    _started(supervisor, "service")
    file = tmp_path / "service.py.json"
    wait_until(file.is_file, "the service's environment", 10)
    assert odd.items() <= json.loads(file.read_text()).items()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # only the owner reads what a service writes


@pytest.mark.parametrize(
    "name", ["it's 50% (new), ä", "ours ;theirs", "a #b", 'say "no" %(here)s %%', "$HOME `date` \\n"]
)
def test_a_state_folder_with_odd_characters_works(tmp_path, monkeypatch, fake, name):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / name))
    platform = config.create()
    other = Supervisor(platform)
    other.launch([fake("service", "import tempfile\nprint('temporary files in', tempfile.gettempdir())\n")])
    daemon = psutil.Process(other.pid())
    try:
        other.call("startProcess", "service", False)
        log = platform.logs / "service.log"
        wait_until(
            lambda: log.is_file() and f"in {platform.scratch('service')}" in log.read_text(), "the service's log", 10
        )
    finally:
        stop([daemon, *members(platform)], limit_s=0)
    assert sorted(path.name for path in platform.home.iterdir()) == [
        "env", "flink", "gold", "kafka", "logs", "registry", "services", "supervisor.sock", "supervisord.conf",
        "supervisord.pid", "tmp", "warehouse",
    ]  # fmt: skip


def test_a_program_in_a_folder_with_odd_characters_is_started(tmp_path, supervisor, fake):
    folder = tmp_path / "python #3 ;"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    service = fake("service", "print('started')\nready()\n")
    supervisor.launch([dataclasses.replace(service, command=lambda: [str(folder / "python"), *service.command()[1:]])])
    supervisor.call("startProcess", "service", False)
    wait_until((tmp_path / "service.py.ready").is_file, "the service to start", 10)


@pytest.mark.timeout(10)  # immediately: the limit for the daemon to answer is longer
def test_errors_of_the_supervisor_are_reported_verbatim(platform, supervisor, fake):
    with pytest.raises(PlatformError, match=r"the supervisor does not start: .*NO_SIGNAL(?s:.*)supervisord\.log"):
        supervisor.launch([fake("service", stop_signal="NO_SIGNAL")])


def test_the_real_services_are_accepted_and_commands_contain_no_secrets(platform, supervisor):
    """The whole process list, without starting any of them."""
    flink.configure(platform)
    everything = services(platform)
    supervisor.launch(everything)
    assert {info["statename"] for info in supervisor.info().values()} == {"STOPPED"}
    assert supervisor.info().keys() == {service.name for service in everything}

    conf = platform.home / "supervisord.conf"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (platform.home / "services").iterdir()} == {0o600}
    assert stat.S_IMODE(supervisor.socket.stat().st_mode) == 0o700
    assert "inet_http_server" not in conf.read_text()
    secrets = [platform.values[name] for name in config.SECRETS]
    seen_by_all = [
        *psutil.Process(supervisor.pid()).cmdline(),
        *(word for service in everything for word in service.command()),
        conf.read_text(),
    ]
    assert [word for word in seen_by_all for secret in secrets if secret in word] == []


def test_the_daemon_and_its_services_are_members_even_if_they_rename_themselves(tmp_path, platform, supervisor, fake):
    """As Airflow's processes do; this is the only way to find what a killed supervisor left behind."""
    script = str(tmp_path / "renamed.py")
    renamed = fake("renamed", RENAME, environment=airflow.environment(platform))
    supervisor.launch([dataclasses.replace(renamed, command=lambda: [sys.executable, script]), fake("plain")])
    processes = {_started(supervisor, "renamed"), _started(supervisor, "plain"), psutil.Process(supervisor.pid())}
    wait_until((tmp_path / "renamed.py.ready").is_file, "the service to rename itself", 10)
    assert set(members(platform)) == processes
