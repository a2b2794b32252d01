"""Rebuilding the tables of some stages while the live ones are read and written, and replacing these in one step."""
