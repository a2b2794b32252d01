"""What a pipeline is: a declaration in `include/pipelines/`, the contract of its events, and the SQL rendered from both."""
