"""UPS-RS: work items over HTTP with JSON, and their events over a WebSocket (PS3.18 11)."""
