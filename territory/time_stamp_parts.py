"""The time-stamping authority that the settings name, as an object."""

from oncall.report.time_stamps import Rfc3161TimeStamper, roots_of
from territory.settings_model import Oncall


def make_time_stamper(oncall: Oncall) -> Rfc3161TimeStamper | None:
    """Return what stamps signatures and seals; None where no authority is named.

    Raises
    ------
    foundation.errors.Refused
        If the file of its roots holds no certificate.
    OSError
        If that file cannot be read.
    """
    stamps = oncall.time_stamps
    if stamps is None:
        return None
    return Rfc3161TimeStamper(stamps.url, roots_of(stamps.roots_file.read_bytes()), timeout_s=stamps.timeout_s)
