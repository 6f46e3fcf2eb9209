"""Second readings: which reports are read again, by whom and when, how far both agree, and what is learned from it."""
