"""Every generated file, read as by its program: each value is unchanged."""

import json
import random
import subprocess

import pytest
import yaml

from local import config, flink, kafka
from local.generated import properties, render, yaml_scalar
from local.java import java

ODD = [
    "my project é, #1", " padded ", "", "a:b=c!d", "100%(here)s %41 {{ x }}", "it's \"quoted\"", "C:\\new\\u0041\\",
    "$HOME `date`", "€ 日本 🚕", "tab\tline\nreturn\r", "a ; b #c", "- x", "null", "0123", "~", "\u0085\u2028\ufeff\x7f",
    "key: value", "&a *b |",
]  # fmt: skip
LETTERS = "".join(map(chr, range(1, 0x180))) + "€日🚕\u2028\ufeff"
RANDOM = random.Random(17)
VALUES = [*ODD, *("".join(RANDOM.choices(LETTERS, k=RANDOM.randint(1, 40))) for _ in range(300))]

# Prints the values of a properties file as JSON lines of their UTF-16 units, in the order of their keys (numbers).
READER = """
import java.io.*;
import java.util.*;

class Reader {
    public static void main(String[] files) throws IOException {
        Properties read = new Properties();
        try (InputStream file = new FileInputStream(files[0])) {
            read.load(file);
        }
        for (int key = 0; key < read.size(); key++) {
            System.out.println(Arrays.toString(read.getProperty("" + key).chars().toArray()));
        }
    }
}
"""


def test_java_reads_the_original_properties(tmp_path):
    (tmp_path / "Reader.java").write_text(READER)
    (tmp_path / "values").write_text("".join(f"{key}={properties(value)}\n" for key, value in enumerate(VALUES)))
    run = subprocess.run(
        [*java(tmp_path), "Reader.java", "values"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    read = [json.loads(line) for line in run.stdout.splitlines()]
    assert read == [[*memoryview(value.encode("utf-16-le")).cast("H")] for value in VALUES]


def test_yaml_has_the_original_values():
    text = "".join(f"{key}: {yaml_scalar(value)}\n" for key, value in enumerate(VALUES))
    assert [*yaml.safe_load(text).values()] == VALUES


def test_a_template_escapes_every_value(tmp_path, monkeypatch):
    (tmp_path / "t.j2").write_text('# {{ a }}\nkey: {{ a ~ "/x" }}\n')
    monkeypatch.setattr("local.generated.CONF", tmp_path)
    render("t.j2", tmp_path / "t", {"a": "é"}, lambda value: f"<{value}>")
    assert (tmp_path / "t").read_text(encoding="utf-8") == "# <é>\nkey: <é/x>\n"


@pytest.mark.parametrize("name", ["my project é, #1", "it's 50% ;", "日本"])
def test_flink_and_kafka_are_configured_in_a_folder_with_odd_characters(tmp_path, monkeypatch, name):
    """Flink's and Kafka's own programs read these files, to compute memory and to format storage."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / name))
    monkeypatch.setenv("LC_ALL", "POSIX")  # a shell with an ASCII locale
    platform = config.create()
    flink.configure(platform)
    assert flink.jobmanager(platform)
    read = yaml.safe_load((platform.home / "flink" / "conf" / "config.yaml").read_text())
    assert read["execution.checkpointing.dir"] == f"file://{tmp_path}/{name}/flink/checkpoints"
    kafka.prepare(platform)
    assert (platform.home / "kafka" / "data" / "meta.properties").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
