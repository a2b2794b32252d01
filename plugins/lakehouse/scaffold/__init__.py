"""From a sample of events to a complete pipeline: declaration, contract, Silver SQL and dbt models, for their owner to edit."""
