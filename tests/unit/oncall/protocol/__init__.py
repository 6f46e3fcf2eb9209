"""Tests of the exam protocols: the library, sending, the comparison."""
