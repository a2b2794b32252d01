"""The life cycle of Flink SQL jobs: deployed as declared, upgraded, rolled back, never started twice.

`job` is the declaration, `state` finds what can be restored, `record` is what is stored about a job, `deployer` does the work.
"""
