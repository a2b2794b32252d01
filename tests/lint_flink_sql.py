"""Lints the rendered Flink SQL of all pipelines with sqlfluff (`make lint-sql`); prints findings and fails if there are any.

Layout is not checked, because that of a rendered template is accidental. Maintenance is left out: sqlfluff cannot parse `CALL`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

from sqlfluff.core import FluffConfig, Linter

from lakehouse.paths import SQL
from lakehouse.pipelines import script
from lakehouse.pipelines.load import declarations
from lakehouse.pipelines.statements import statements

#: AL03, AL09, AL10, AM04, RF02, RF04, RF05: idioms of these scripts. AM09: a limit is a safeguard there. CP02, CP03: both cases
#: are in use. ST06, ST07: as for dbt. ST09: as ST06.
EXCLUDED = "layout, AL03, AL09, AL10, AM04, AM09, CP02, CP03, RF02, RF04, RF05, ST06, ST07, ST09"


def rendered() -> Iterator[tuple[str, str]]:
    """Template and rendered SQL, with empty connections and variables."""
    templates = script.environment()
    templates.globals |= {"conn": script._Empty(), "var": script._Empty(), "rules_version": "", "group": ""}
    yield "00-init.sql", templates.get_template("00-init.sql").render(catalog_options={}, namespaces=["bronze"])
    for pipeline in declarations().pipelines.values():
        for stage in pipeline.stages.values():
            values = script._values(pipeline, stage, {}, pipeline.params)
            yield stage.sql, templates.get_template(stage.sql).render(**values)
    for file in sorted((SQL / "inspect").glob("*.sql")):
        example = {"namespace": "bronze", "table": "events", "limit": 1, "at": 0, "query": "SELECT 1 FROM {table}"}
        yield f"inspect/{file.name}", templates.get_template(f"inspect/{file.name}").render(example)


def findings(sql: str) -> list[str]:
    """Statement, position in it, rule and description of each finding."""
    linter = Linter(FluffConfig({"core": {"dialect": "flink", "templater": "raw", "exclude_rules": EXCLUDED}}))
    found = []
    for statement in statements(sql):
        # sqlfluff cannot parse FLOOR(... TO unit) either.
        for finding in linter.lint_string(f"{statement.replace(' TO DAY)', ')')}\n").get_violations():
            start = statement.partition("\n")[0]
            found.append(f"{start}: line {finding.line_no}: {finding.rule_code()} {finding.desc()}")
    return found


if __name__ == "__main__":
    logging.getLogger("sqlfluff").setLevel(logging.WARNING)  # Airflow's configuration shows its parse trees
    sys.exit("\n".join(f"{template}: {finding}" for template, sql in rendered() for finding in findings(sql)) or None)
