"""Scripts are split exactly as the SQL Gateway needs it."""

import pytest

from lakehouse.pipelines.statements import canonical, statements


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        (" ;; \n;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2 ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT 'it''s; so'", ["SELECT ';'", "SELECT 'it''s; so'"]),
        ("SELECT `a;b`; SELECT 1", ["SELECT `a;b`", "SELECT 1"]),
        ("SELECT 1 -- and; more\n; SELECT /* a; b */ 2", ["SELECT 1", "SELECT \n 2"]),
        ("-- nothing;\n/* at; all */", []),
        ("SELECT '-- this'; SELECT '/* that */'", ["SELECT '-- this'", "SELECT '/* that */'"]),
        ("SELECT a FROM t /*+ O('a;b' = 'c') */; SELECT 1", ["SELECT a FROM t /*+ O('a;b' = 'c') */", "SELECT 1"]),
        ("BEGIN\nINSERT a;\nINSERT b;\nEND;\nSELECT 1", ["BEGIN\nINSERT a;\nINSERT b;\nEND", "SELECT 1"]),
        ("BEGIN SET CASE a END; SET b; end; SET c", ["BEGIN SET CASE a END; SET b; end", "SET c"]),
        ("SELECT CASE a THEN CASE b END END; SELECT 1", ["SELECT CASE a THEN CASE b END END", "SELECT 1"]),
        ("SET 'BEGIN'; SET `case`; SET 1 -- BEGIN\n; SET 2", ["SET 'BEGIN'", "SET `case`", "SET 1", "SET 2"]),
        ("SELECT begin_date, t.end_date, suitcase; SELECT 1", ["SELECT begin_date, t.end_date, suitcase", "SELECT 1"]),
    ],
)
def test_split(script, expected):
    assert statements(script) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 1", "-- a comment; with a semicolon\nSELECT   1\n;"),
        ("SELECT a FROM t WHERE b = 'x'", "SELECT a\n    FROM t\n    WHERE b = 'x'"),
        ("SET 'a' = 'b'; SELECT 1", "SET 'a' = 'b';\n\n/* why */ SELECT 1;"),
    ],
)
def test_layout_and_comments_do_not_matter(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'a  b'", "SELECT 'a b'"),
        ("SELECT `a  b`", "SELECT `a b`"),
        ("SELECT a FROM t /*+ O('a' = 'b') */", "SELECT a FROM t"),
        ("SELECT 'a -- b'", "SELECT 'a '"),
        ("SELECT 1; SELECT 2", "SELECT 2; SELECT 1"),
    ],
)
def test_other_differences_matter(one, other):
    assert canonical(one) != canonical(other)
