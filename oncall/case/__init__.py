"""The case: an append-only, hash-chained log of facts, and the state that is a fold over it."""
