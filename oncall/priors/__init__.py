"""Earlier exams of a patient, in the whole territory: is this one needed, and what is to be compared with it."""
