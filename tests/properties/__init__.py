"""Properties checked over generated input."""
