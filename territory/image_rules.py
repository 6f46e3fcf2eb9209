"""The settings of `[oncall.images]` as the policy that decides when the images of an exam are complete.

For: binding settings to `oncall.case.intake_policy`. Not for: which studies are emergencies, which is not configured.
"""

from dataclasses import asdict, replace

from oncall.case.intake_policy import IntakePolicy
from oncall.engine.in_force import DEFAULT_INTAKE
from territory.settings_model import Oncall


def intake_policy(settings: Oncall) -> IntakePolicy:
    """Return the policy of the intake with the quiet times of these settings."""
    return replace(DEFAULT_INTAKE, **asdict(settings.images))
