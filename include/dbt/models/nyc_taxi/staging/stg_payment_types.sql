select
    payment_type_id,
    payment_type as payment_type_name
from {{ ref("payment_types") }}
