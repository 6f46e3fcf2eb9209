"""The engine: the one place that binds case, roster, reading decisions, escalation and messages in transactions."""
