"""The node against tools that nobody here wrote, by PS3 clause."""
