"""Three hospitals, a few people and one night's roster, small enough to know by heart; and an engine that runs on it.

The night is that of 24 to 25 October 2026: clocks go back, 18:30 to 08:30 is 15 hours. In UTC:

======== =================================== =============================
line     who                                 when
======== =================================== =============================
reader1  anna, then diane                    16:30 to 22:30, to 07:30
reader2  boris                               16:30 to 07:30
senior   serge                               16:30 to 07:30
backup1  bruno                               16:30 to 07:30
backup2  basile                              16:30 to 07:30
chief    coline (coordinator)                16:30 to 07:30
======== =================================== =============================

Everybody reads for ``north`` and ``south``; only boris reads for ``east``. The emergency physicians are emma (north),
edgar (south) and elsa (east).
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from oncall.case.commands import NewRequest
from oncall.case.event import CaseId
from oncall.directory import (
    ChannelKind,
    Competence,
    ContactDuty,
    ContactMethod,
    Directory,
    LineId,
    Person,
    PersonId,
    Provider,
    ProviderId,
    ProviderKind,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules, InForce
from oncall.engine.ports import MemoryStore, Store
from oncall.messages_memory import MemoryMessages
from oncall.notify import Sender
from oncall.reading.board import ExamKind, Urgency
from oncall.rota.model import Line, LineKind, Roster, ShiftPlan, ShiftRule
from oncall.rota.timeline import Timeline
from oncall.spans import Span

BEGIN: Final = datetime(2026, 10, 24, 16, 30, tzinfo=UTC)
CHANGE: Final = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
END: Final = datetime(2026, 10, 25, 7, 30, tzinfo=UTC)
POOL: Final = ProviderId("pool")
SENDER: Final = Sender(answer_url="https://oncall.example/a/", secret=b"small territory")

_LINES: Final = {
    "reader1": (LineKind.DUTY, (("anna", BEGIN, CHANGE), ("diane", CHANGE, END))),
    "reader2": (LineKind.DUTY, (("boris", BEGIN, END),)),
    "senior": (LineKind.SENIOR, (("serge", BEGIN, END),)),
    "backup1": (LineKind.BACKUP, (("bruno", BEGIN, END),)),
    "backup2": (LineKind.BACKUP, (("basile", BEGIN, END),)),
    "chief": (LineKind.COORDINATOR, (("coline", BEGIN, END),)),
}
READERS: Final = tuple(map(PersonId, ("anna", "basile", "boris", "bruno", "diane", "serge")))
SITES: Final = tuple(map(SiteId, ("north", "south", "east")))


def person(person_id: str, role: Role = Role.RADIOLOGIST) -> Person:
    """Return somebody with a number and an address."""
    sites = SITES if person_id == "boris" else SITES[:2]
    is_reader = role is Role.RADIOLOGIST
    return Person(
        person_id=PersonId(person_id),
        name=person_id.capitalize(),
        role=role,
        provider_id=POOL if is_reader else None,
        privileges=frozenset(sites) if is_reader else frozenset(),
        competences=dict.fromkeys(SubSpecialty, Competence.COMPETENT) if is_reader else {},
        contact_methods=(
            ContactMethod(kind=ChannelKind.SMS, address=f"+336{sum(person_id.encode()):08d}"),
            ContactMethod(kind=ChannelKind.EMAIL, address=f"{person_id}@oncall.example"),
        ),
    )


def site(site_id: str, physician: str) -> Site:
    """Return a hospital with one emergency physician."""
    return Site(
        site_id=SiteId(site_id),
        name=f"CH {site_id.capitalize()}",
        time_zone="Europe/Paris",
        commune="42218",
        ae_titles=frozenset({f"CT_{site_id.upper()}"}),
        issuer=site_id.upper(),
        contacts={ContactDuty.EMERGENCY_PHYSICIAN: (PersonId(physician),)},
        services=frozenset({"CT"}),
        provider_order=(POOL,),
    )


def directory() -> Directory:
    """Return the territory."""
    people = [
        *(person(one) for one in READERS),
        person("coline", Role.COORDINATOR),
        *(person(one, Role.EMERGENCY_PHYSICIAN) for one in ("emma", "edgar", "elsa")),
    ]
    sites = [site("north", "emma"), site("south", "edgar"), site("east", "elsa")]
    pool = Provider(provider_id=POOL, name="Pool", kind=ProviderKind.PUBLIC_POOL, time_zone="Europe/Paris")
    return Directory(
        sites={one.site_id: one for one in sites},
        persons={one.person_id: one for one in people},
        providers={POOL: pool},
    )


def roster() -> Roster:
    """Return the night's roster."""
    night = ShiftRule(name="night", start=time(18, 30), end=time(8, 30))
    lines = tuple(
        Line(
            line_id=LineId(line_id),
            name=line_id,
            kind=kind,
            provider_id=POOL,
            time_zone="Europe/Paris",
            commune="42218",
            rules=(night,),
        )
        for line_id, (kind, _) in _LINES.items()
    )
    plans = tuple(
        ShiftPlan(
            shift_id=f"{line_id}-{who}",
            line_id=LineId(line_id),
            person_id=PersonId(who),
            span=Span(start=start, end=end),
        )
        for line_id, (_, shifts) in _LINES.items()
        for who, start, end in shifts
    )
    return Roster(version="r1", lines=lines, plans=plans)


def in_force(planned: Roster | None = None, people: Directory | None = None) -> InForce:
    """Return the rules of the night."""
    chosen, known = planned or roster(), people or directory()
    # Seventeen weeks before, for the law; after it until both changes of the clocks have been.
    around = Span(start=BEGIN - timedelta(days=130), end=END + timedelta(days=160))
    return InForce(directory=known, roster=chosen, timeline=Timeline(chosen, known, around))


def without_contacts(known: Directory, *person_ids: str) -> Directory:
    """Return the directory with people whom no channel reaches."""
    persons = dict(known.persons)
    for person_id in map(PersonId, person_ids):
        persons[person_id] = replace(persons[person_id], contact_methods=())
    return replace(known, persons=persons)


def memory_store() -> MemoryStore:
    """Return an empty store in memory."""
    return MemoryStore(MemoryMessages())


def engine(store: Store | None = None, rules: InForce | None = None, *, worker: str = "one") -> Engine:
    """Return an engine on the night's rules."""
    return Engine(store or memory_store(), FixedRules(rules or in_force()), SENDER, worker=worker)


def request(site_id: str = "north", *, urgency: Urgency = Urgency.P2, exam: ExamKind = ExamKind.HEAD) -> NewRequest:
    """Return a request for an emergency CT."""
    return NewRequest(
        site_id=SiteId(site_id),
        exam=exam,
        urgency=urgency,
        needs=SubSpecialty.GENERAL,
        modality="CT",
        patient_key=f"key-{site_id}",
    )


def ready_case(
    runner: Engine, case_id: str, now: datetime, *, site_id: str = "north", urgency: Urgency = Urgency.P2,
    exam: ExamKind = ExamKind.HEAD,
) -> CaseId:  # fmt: skip
    """Open a case whose images are complete at `now`, after what is due before; the engine assigns and pages."""
    run_until(runner, now)
    case = CaseId(case_id)
    runner.open_case(case, request(site_id, urgency=urgency, exam=exam), now)
    runner.complete_images(case, now, rule="radiographer")
    return case


def at(minutes: float) -> datetime:
    """Return the instant so many minutes after the night begins."""
    return BEGIN + timedelta(minutes=minutes)


def run_until(runner: Engine, now: datetime) -> None:
    """Let the engine do everything that is due until `now`, each at its own time."""
    while (due_at := runner.next_due_at()) is not None and due_at <= now:
        runner.run_due(max(due_at, BEGIN))
    runner.run_due(now)
