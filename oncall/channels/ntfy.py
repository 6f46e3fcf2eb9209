"""Push messages through an ntfy server (https://docs.ntfy.sh/publish/), which radiologists' telephones subscribe to.

A topic is a contact method's address; the message carries a button that answers it. ntfy shows a repeated message
twice, so a message is never handed over again when nobody knows.
"""

from oncall.channels.http_gateway import HttpGateway
from oncall.channels.port import STEP_TIMEOUT_S
from oncall.directory import ChannelKind


def ntfy_gateway(
    url: str, *, answer_url: str, access_token: str = "", timeout_s: float = STEP_TIMEOUT_S
) -> HttpGateway:
    """Return the template of an ntfy server at `url`; `access_token` for one that asks who publishes."""
    button = {"action": "view", "label": "OK", "url": "{answer_url}", "clear": True}
    return HttpGateway(
        kind=ChannelKind.PUSH,
        url=url,
        body={
            "topic": "{to}",
            "title": "{subject}",
            "message": "{text}",
            "priority": 5,
            "click": "{answer_url}",
            "actions": [button],
        },
        headers={"Authorization": "Bearer {secret}"} if access_token else {},
        is_repeatable=False,
        answer_url=answer_url,
        secret=access_token,
        timeout_s=timeout_s,
    )
