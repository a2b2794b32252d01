"""The life of a Flink SQL job: declared in a DAG, brought to that state, upgraded, rolled back, never started twice.

`job` says what is wanted, `state` what can be restored, `record` what is remembered, `deployer` does it.
"""
