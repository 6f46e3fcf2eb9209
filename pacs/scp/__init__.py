"""Service class providers: what a peer may ask of us, and the engine that listens."""
