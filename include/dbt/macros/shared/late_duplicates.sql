{# The staged rows that repeat the key of an earlier row, which the streaming job no longer remembered (its state had expired or was
   lost). The fact keeps the first arrival of a key, without these: each row of the source is in exactly one of the two. The rows
   of a key become visible in the order of their arrival, because one task handles them all: the first is the one that the fact
   already has.

   `also` names columns that follow from the key, so that the fact need not be searched as a whole. #}
{% macro late_duplicates(staged, key, fact, also=[]) %}
    {%- set loaded = none if should_full_refresh() else adapter.get_relation(this.database, target.schema, fact) -%}
    with late as (
        select {{ key }}, kafka_partition, kafka_offset, processed_at
        from {{ staged }}
        where {{ key }} in (select {{ key }} from {{ staged }} group by {{ key }} having count(*) > 1)
        qualify row_number() over (partition by {{ key }} order by processed_at, kafka_partition, kafka_offset) > 1
        {% if loaded -%}
            union
            select {{ key }}, staged.kafka_partition, staged.kafka_offset, staged.processed_at
            from {{ staged }} as staged
            semi join {{ loaded }} as loaded
                on
                    {%- for column in [key] + also %}
                    loaded.{{ column }} = staged.{{ column }} and
                    {%- endfor %}
                    loaded.processed_at < staged.processed_at
        {%- endif %}
    )

    select late.*
    from late
    {% if is_incremental() -%}
        anti join {{ this }} as known using (kafka_partition, kafka_offset)
    {%- endif %}
{% endmacro %}
