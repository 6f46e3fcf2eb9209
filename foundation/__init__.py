"""What every other package stands on: clock, errors, database, outbox, log."""
