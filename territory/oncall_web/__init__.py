"""The on-call engine's pages and JSON interface: ask for an exam, answer a page, watch the night, recall the staff."""
