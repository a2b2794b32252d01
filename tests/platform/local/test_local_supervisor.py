"""The supervisor's daemon: what it hands to its parts, what it keeps from others, and why it does not start."""

import dataclasses
import json
import stat
import sys

import psutil
import pytest

from lakehouse.waiting import wait_until
from local import airflow, config, flink
from local.config import PlatformError
from local.parts import parts
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


def test_values_with_odd_characters_reach_the_part(tmp_path, supervisor, fake):
    odd = {
        "PERCENT": "100%(host)s %41",
        "QUOTE": "it's $HOME `date` \\n",
        "MARKS": "a,b=c;d#e [x] ä",
        "EMPTY": "",
        "BLANK": " padded ",
    }
    supervisor.launch([fake("part", WRITE_ENVIRONMENT, environment=odd)])
    _started(supervisor, "part")
    file = tmp_path / "part.py.json"
    wait_until(file.is_file, "the part to tell its environment", 10)
    assert odd.items() <= json.loads(file.read_text()).items()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # what a part writes is its owner's


@pytest.mark.parametrize("value", ['say "no"', "two\nlines", "a ; b", "a #b", "'quoted'"])
def test_a_value_that_the_supervisor_would_change_is_refused_by_name_and_not_shown(supervisor, fake, value):
    with pytest.raises(PlatformError, match="the value of ALERTS_URL cannot be handed to the parts: it holds") as error:
        supervisor.launch([fake("part", environment={"ALERTS_URL": value})])
    assert value not in str(error.value)
    assert not supervisor.running()


def test_a_state_folder_with_odd_characters_works(tmp_path, monkeypatch, fake):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "it's 50% (new), ä"))
    platform = config.create()
    other = Supervisor(platform)
    other.launch([fake("part", "print('hello')\n")])
    daemon = psutil.Process(other.pid())
    try:
        other.call("startProcess", "part", False)
        log = platform.logs / "part.log"
        wait_until(lambda: log.is_file() and "hello" in log.read_text(), "the part's log", 10)
    finally:
        stop([daemon, *members(platform)], limit_s=0)


def test_a_state_folder_that_the_supervisor_would_cut_short_is_refused(tmp_path, monkeypatch, fake):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "ours ;theirs"))
    with pytest.raises(PlatformError, match="the value of LAKEHOUSE_HOME cannot be handed to the parts"):
        Supervisor(config.create()).launch([fake("part")])


def test_a_command_that_the_supervisor_would_cut_short_is_refused(supervisor, fake):
    part = dataclasses.replace(fake("part"), command=lambda: ["/opt/java #17/bin/java"])
    with pytest.raises(PlatformError, match=r"cannot take .*/opt/java #17/bin/java.*: it holds ' #'"):
        supervisor.launch([part])


@pytest.mark.timeout(10)  # at once: its limit for the daemon to answer is longer
def test_a_part_of_an_unknown_user_is_told_as_the_supervisor_says_it(platform, supervisor, fake):
    with pytest.raises(PlatformError, match=r"the supervisor does not start: .*no-such-user(?s:.*)supervisord\.log"):
        supervisor.launch([fake("part", user="no-such-user")])


def test_the_real_parts_are_taken_and_no_secret_stands_in_a_command(platform, supervisor):
    """The whole process list, without starting one of them."""
    flink.configure(platform)
    everything = parts(platform)
    supervisor.launch(everything)
    assert {info["statename"] for info in supervisor.info().values()} == {"STOPPED"}
    assert supervisor.info().keys() == {part.name for part in everything}

    conf = platform.home / "supervisord.conf"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert stat.S_IMODE(supervisor.socket.stat().st_mode) == 0o700
    assert "inet_http_server" not in conf.read_text()
    secrets = [platform.values[name] for name in config.SECRETS]
    seen_by_all = [
        *psutil.Process(supervisor.pid()).cmdline(),
        *(word for part in everything for word in part.command()),
    ]
    assert [word for word in seen_by_all for secret in secrets if secret in word] == []


def test_the_configuration_is_private_also_over_an_older_one_that_was_not(platform, supervisor, fake):
    conf = platform.home / "supervisord.conf"
    conf.touch()
    conf.chmod(0o644)
    supervisor.launch([fake("part")])
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600


def test_the_daemon_and_its_parts_are_members_also_when_they_rename_themselves(tmp_path, platform, supervisor, fake):
    """As Airflow's processes do; what is left behind by a killed supervisor is found by this alone."""
    script = str(tmp_path / "renamed.py")
    renamed = fake("renamed", RENAME, environment=airflow.environment(platform))
    supervisor.launch([dataclasses.replace(renamed, command=lambda: [sys.executable, script]), fake("plain")])
    processes = {_started(supervisor, "renamed"), _started(supervisor, "plain"), psutil.Process(supervisor.pid())}
    wait_until((tmp_path / "renamed.py.ready").is_file, "the part to rename itself", 10)
    assert set(members(platform)) == processes
