"""Who may use the on-call pages and interface, and for what.

For: bearer tokens from a file, of which only SHA-256 is kept; the same token is a browser's cookie. Not for: accounts
and passwords. An external identity provider (Pro Santé Connect) would issue the same `Holder`.

Invariant: without a known token nothing is shown or done but the answer to a page's own link; only a node that is open
on loopback (`--open-loopback`) lets everybody in, as its holder "loopback".
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from foundation.errors import Refused
from oncall.case.event import Actor
from oncall.directory import SiteId

TOKEN_CHARACTERS_MIN: Final = 20
OPEN_LOOPBACK: Final = "open-loopback"
_KEYS: Final = frozenset({"who", "may", "sites", "token_sha256"})


class May(StrEnum):
    """What a token is good for."""

    WATCH = "watch"
    REQUEST = "request"
    PERFORM = "perform"
    READ = "read"
    RECALL = "recall"
    COORDINATE = "coordinate"
    FIGURES = "figures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a token. ``who`` is a person id of the directory; empty ``sites`` means every site."""

    who: str
    may: frozenset[May]
    sites: frozenset[SiteId] = frozenset()
    authentication: str = "token"

    def actor(self, place: str = "") -> Actor:
        """Return the holder as the log names them."""
        return Actor(who=self.who, role="+".join(sorted(self.may)), authentication=self.authentication, place=place)

    @property
    def is_anybody(self) -> bool:
        """Whether nobody knows who this is: on an open loopback node, where a reader says which one they are."""
        return self.authentication == OPEN_LOOPBACK

    @property
    def may_see_clinical_text(self) -> bool:
        """Whether findings and motives concern them: who treats or coordinates, not who only watches."""
        return bool(self.may & {May.REQUEST, May.PERFORM, May.READ, May.COORDINATE})

    def may_see(self, site_id: SiteId) -> bool:
        """Say whether a site's cases concern this holder."""
        return not self.sites or site_id in self.sites


LOOPBACK: Final = Holder(who="loopback", may=frozenset(May), authentication=OPEN_LOOPBACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Tokens (their SHA-256 in hexadecimal) and their holders; ``anybody`` is let in without one when not None."""

    holders: Mapping[str, Holder]
    anybody: Holder | None = None

    def holder(self, token: str) -> Holder | None:
        """Return who holds this token, or who anybody is; None when nobody."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        return self.holders.get(digest, self.anybody)


def read_access(path: Path) -> Access:
    """Read tokens from a JSON file: a list of ``{"who", "may": [...], "sites": [...], "token_sha256"}``.

    Raises
    ------
    Refused
        If the file cannot be read or says something unknown; the message says where.
    """
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(
            f"the file of on-call tokens cannot be read ({type(error).__name__}); see docs/oncall.md"
        ) from error
    if not isinstance(entries, list):
        raise Refused("the file of on-call tokens is a JSON list; see docs/oncall.md")
    return Access(holders=dict(_entry(number, entry) for number, entry in enumerate(entries)))


def _entry(number: int, entry: Any) -> tuple[str, Holder]:
    if not isinstance(entry, dict) or set(entry) - _KEYS:
        raise Refused(f"on-call token {number}: keys are {', '.join(sorted(_KEYS))}")
    digest = str(entry.get("token_sha256", ""))
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise Refused(f"on-call token {number}: token_sha256 is the SHA-256 of the token in lower-case hexadecimal")
    unknown = set(entry.get("may", ())) - set(May)
    if unknown or not entry.get("may") or not entry.get("who"):
        raise Refused(f"on-call token {number}: who is a person id, may lists some of {', '.join(sorted(May))}")
    sites = frozenset(SiteId(site) for site in entry.get("sites", ()))
    return digest, Holder(who=entry["who"], may=frozenset(May(one) for one in entry["may"]), sites=sites)
