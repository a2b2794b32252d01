select
    vendor_id,
    vendor as vendor_name
from {{ ref("vendors") }}
