"""Who is meant by a name, an address or a number that another program knows somebody by.

Invariant: nobody is guessed. What could mean two people, or nobody, is refused with what to do about it.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from oncall.directory import ChannelKind, Directory, Person, PersonId, Role

# Titles that calendars put before names.
_TITLES: Final = ("dr", "docteur", "pr", "professeur", "m", "mme")


class PersonFinder:
    """Finds a person by identifier, RPPS number, e-mail address or name, without regard to case and accents.

    Parameters
    ----------
    directory : Directory
        Whom there is.
    known_as : Mapping
        What the other program calls somebody, and the person's identifier; it wins over everything else.

    Raises
    ------
    ValueError
        If `known_as` names a person who is not in the directory.
    """

    def __init__(self, directory: Directory, known_as: Mapping[str, str] | None = None) -> None:
        found: dict[str, set[PersonId]] = {}
        for person in directory.persons.values():
            for key in _keys_of(person):
                found.setdefault(key, set()).add(person.person_id)
        for name, person_id in (known_as or {}).items():
            if PersonId(person_id) not in directory.persons:
                message = f"{person_id} is not in the directory; correct the mapping or add the person"
                raise ValueError(message)
            found[folded(name)] = {PersonId(person_id)}
        self._found = found
        self._radiologists = {
            person.person_id for person in directory.persons.values() if person.role is Role.RADIOLOGIST
        }

    def find(self, *names: str) -> PersonId | None:
        """Return whom the first of these names that is known means; None when none of them means exactly one person.

        Where several people share a name, the one radiologist among them is meant: rosters are theirs.
        """
        for name in names:
            candidates = self._found.get(folded(name), set())
            if len(candidates) > 1:
                candidates &= self._radiologists
            if len(candidates) == 1:
                return next(iter(candidates))
        return None


def folded(name: str) -> str:
    """Return a name for comparison: small letters, no accents, single spaces, no title, no ``mailto:``."""
    plain = unicodedata.normalize("NFKD", name.casefold().removeprefix("mailto:"))
    words = "".join(one for one in plain if not unicodedata.combining(one)).replace(".", ". ").split()
    if "@" in plain:
        return "".join(words).replace(" ", "")
    words = [word.rstrip(".,") for word in words]
    while len(words) > 1 and words[0] in _TITLES:
        words = words[1:]
    return " ".join(words)


def _keys_of(person: Person) -> Iterable[str]:
    yield folded(person.person_id)
    yield folded(person.name)
    # Calendars and registers write family names first.
    words = folded(person.name).split()
    if len(words) > 1:
        yield " ".join([*words[1:], words[0]])
    if person.rpps:
        yield folded(person.rpps)
    for method in person.contact_methods:
        if method.kind is ChannelKind.EMAIL:
            yield folded(method.address)
