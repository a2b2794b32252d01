# Airflow with the DAGs, and what they need. The versions are those of requirements.lock.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}

COPY --chown=airflow:root requirements.txt requirements.lock /opt/lakehouse/
RUN grep -E '^[a-z0-9._-]+(\[[a-z,_-]+\])?==' /opt/lakehouse/requirements.lock | sed -E 's/ *\\$//; s/\[[a-z,_-]+\]//' \
        > /tmp/constraints.txt \
    && pip install --no-cache-dir --disable-pip-version-check --requirement /opt/lakehouse/requirements.txt \
        --constraint /tmp/constraints.txt \
    && rm /tmp/constraints.txt

COPY --chown=airflow:root airflow_settings.yaml /opt/lakehouse/
COPY --chown=airflow:root dags /opt/lakehouse/dags
COPY --chown=airflow:root include /opt/lakehouse/include
COPY --chown=airflow:root plugins /opt/lakehouse/plugins
COPY --chown=airflow:root local /opt/lakehouse/local
COPY --chown=airflow:root demo /opt/lakehouse/demo
COPY --chown=airflow:root compose /opt/lakehouse/compose

ENV PYTHONPATH=/opt/lakehouse:/opt/lakehouse/plugins \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lakehouse/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/lakehouse/plugins
WORKDIR /opt/lakehouse
