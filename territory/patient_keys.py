"""Opaque keys of patients: what the on-call engine knows of who a patient is.

A key is a keyed hash of issuing hospital and Patient ID, so that the request's and the images' patient can be compared
by a program that is told neither. Not for: identity management (INS), which knows the traits.
"""

import hmac
from typing import Final

KEY_CHARACTERS: Final = 32


def patient_key(secret: bytes, issuer: str, patient_id: str) -> str:
    """Return the opaque key (32 hexadecimal digits) of a patient of one hospital; '' for an unidentified one.

    Parameters
    ----------
    secret : bytes
        The territory's; whoever has it can test guesses, nobody else can.
    issuer : str
        Issuing hospital: the same ID in two hospitals is two patients.
    patient_id : str
        Patient ID (0010,0020); spaces around it do not count (PS3.5 6.2, LO).
    """
    wanted = patient_id.strip()
    if not wanted:
        return ""
    text = f"{issuer.strip()}\0{wanted}".encode()
    return hmac.new(secret, text, "sha256").hexdigest()[:KEY_CHARACTERS]
