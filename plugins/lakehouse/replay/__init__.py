"""Rebuilding tables beside the live ones, from Bronze or from Kafka, and putting them in their place in one step."""
