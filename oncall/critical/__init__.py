"""Critical results: findings that a named clinician must know of in time, and how they are told (ACR, 1.9)."""
