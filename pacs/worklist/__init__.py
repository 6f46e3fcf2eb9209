"""Worklists and messages: what is to be done at the scanner, what was done, and how hospitals' systems hear of both."""
