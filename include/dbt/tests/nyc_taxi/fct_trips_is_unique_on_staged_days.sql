-- A trip's id covers its pickup time: a trip can only be duplicated within its day, and only on the days of this run.
select trip_id, count(*) as row_count
from {{ ref("fct_trips") }}
where pickup_date in (select staged.pickup_date from {{ ref("stg_trips") }} as staged)
group by trip_id
having count(*) > 1
