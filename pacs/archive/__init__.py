"""The archive: what is kept, where, and how it is found again."""
