"""Where the answer links of pages lead: the address that every engine of a node puts into its messages."""

from territory.settings import Settings
from territory.settings_model import LOOPBACK


def answer_url(settings: Settings) -> str:
    """Return the address that answer links begin with; '' when nobody could open them."""
    web = settings.oncall.web
    if settings.oncall.answer_url or web is None or web.host != LOOPBACK:
        return settings.oncall.answer_url or ""
    return f"http://{web.host}:{web.port}/oncall/a/"
