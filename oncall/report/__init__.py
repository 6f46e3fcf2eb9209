"""The report: what it says, its drafts, its signed versions, its templates."""
