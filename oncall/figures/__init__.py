"""What happened, in figures: turn-around times on every clock, breaches and their causes, exams for billing."""
