"""Exam protocols: the library, choosing and sending one, and comparing what was performed with what was asked."""
