# Airflow with the DAGs and their dependencies. Versions are from requirements.lock. Airflow's user is 50000 in the official image and
# in Astro Runtime.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}

COPY --chown=50000:0 requirements.txt requirements.lock /opt/lakehouse/
RUN grep -E '^[a-z0-9._-]+(\[[a-z,_-]+\])?==' /opt/lakehouse/requirements.lock | sed -E 's/ *\\$//; s/\[[a-z,_-]+\]//' \
        > /tmp/constraints.txt \
    && pip install --no-cache-dir --disable-pip-version-check --requirement /opt/lakehouse/requirements.txt \
        --constraint /tmp/constraints.txt \
    && rm /tmp/constraints.txt

COPY --chown=50000:0 airflow_settings.yaml /opt/lakehouse/
COPY --chown=50000:0 dags /opt/lakehouse/dags
COPY --chown=50000:0 include /opt/lakehouse/include
COPY --chown=50000:0 plugins /opt/lakehouse/plugins
COPY --chown=50000:0 local /opt/lakehouse/local
COPY --chown=50000:0 demo /opt/lakehouse/demo
COPY --chown=50000:0 compose /opt/lakehouse/compose

ENV PYTHONPATH=/opt/lakehouse:/opt/lakehouse/plugins \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lakehouse/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/lakehouse/plugins
WORKDIR /opt/lakehouse
