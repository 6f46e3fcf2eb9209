"""A disk that fills up: 0xA700 before anything is half-written, and the node recovers by itself."""
