-- If this fails with fewer trips than Silver, trips became visible in Silver later than the overlap allows: build once
-- with a longer one (--vars 'arrival_overlap_minutes: 10080'), or with --full-refresh. If it fails even then, Silver
-- holds a trip twice: the test of stg_trips for unique ids says so.
with expected as ({{ silver_row_count() }}),

actual as (select count(*) as row_count from {{ ref("fct_trips") }})

select actual.row_count as in_fct_trips, expected.row_count as in_silver
from actual
cross join expected
where actual.row_count <> expected.row_count
