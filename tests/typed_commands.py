"""The commands in README, docs and `make help`, as the tests run them."""

TABLE = "TABLE=bronze.raw_trips"
REASON = 'REASON="fare_amount is negative"'
#: Run in this order, after some trips were sent; NOW is that moment.
COMMANDS = (
    "make", "make help", "make help | head -1", "make status", "make logs", "make logs SERVICE=kafka", "make logs | head -1",
    "make pipelines", "make regenerate PIPELINE=nyc_taxi",
    "make env", 'eval "$(make -s env)" && airflow dags list', 'eval "$(make -s env)" && cd include/dbt && dbt ls',
    "make generate EVENTS=1000 MODE=batch RATE=1000 SEED=902", "make generate EVENTS=1 SOURCE=trips.csv",
    "make process", "make process PIPELINE=nyc_taxi STAGE=bronze",
    "make health", "make health PIPELINE=nyc_taxi", "make ledger", "make ledger PIPELINE=nyc_taxi", "make ledger | head -1",
    "make dbt-deps", "make dbt-build", "make dbt-test", "make dbt-docs PIPELINE=nyc_taxi",
    'make query SQL="select * from mart_daily_revenue"', "make query SQL='show tables' PIPELINE=nyc_taxi",
    "make audit", "make audit PIPELINE=nyc_taxi ARGS='--partition 0 --at-rest --json'",
    "make rejects", "make rejects PIPELINE=nyc_taxi LIMIT=1", f"make rejects STAGE=silver {REASON} FILE=fix.jsonl",
    "make rejects-replay FILE=fix.jsonl DRY_RUN=1", f"make rejects-replay PIPELINE=nyc_taxi STAGE=silver {REASON} DRY_RUN=1",
    "make acknowledge-loss", "make acknowledge-loss PIPELINE=nyc_taxi",
    f"make erase {TABLE} WHERE=\"VendorID = '7'\" DRY_RUN=1", f"make erase {TABLE} WHERE=\"VendorID = '7'\" REASON=none YES=1",
    *(f"make {question} {TABLE}{more}" for question in ("history", "snapshots", "files", "table-size")
      for more in ("", " LIMIT=1", " FLINK=1")),
    *(f'make query-at {TABLE} AT=NOW SQL="select count(*) as trips from {{table}}" ENGINE={engine}'
      for engine in ("duckdb", "pyiceberg", "flink")),
    f"make query-at {TABLE} AT=NOW",
    "make maintenance", "make maintenance PIPELINE=nyc_taxi",
    f"make maintenance {TABLE} OPERATION=expire_snapshots DRY_RUN=1 THRESHOLDS='{{\"retain_last\": 10}}'",
)  # fmt: skip
#: Commands run by other tests (command -> test file): with another platform, without one, or because they take long.
ELSEWHERE = {
    "setup": "test_local_setup", "up": "test_second_pipeline", "down": "test_local_commands", "clean": "test_local_commands",
    "demo": "test_demo", "notebook": "test_walkthrough", "new-pipeline": "test_second_pipeline",
    "send": "test_second_pipeline", "chaos": "test_chaos",
    "compose-up": "test_compose", "compose-down": "test_compose_life", "compose-demo": "test_compose",
    "compose-backup": "test_compose_backup", "compose-restore": "test_compose_backup",
}  # fmt: skip
#: Commands for developers.
DEVELOPMENT = {
    "check", "test", "test-long", "test-all", "test-compose", "lint", "format", "bench", "lock",
}  # fmt: skip
#: Options without a value that makes sense here.
NOT_GIVEN = {("maintenance", "BATCH"), ("logs", "FOLLOW")}
#: Commands whose output is written by another program.
OTHER_PROGRAMS = ("make process", "make dbt-", "make logs", 'eval "$(make -s env)"')
