"""The report's way to who asked for it: what is to be sent where, the durable queue, the workers, the channels."""
