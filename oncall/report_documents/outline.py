"""What a document says, before it has a format: notices, identity, parts, signature, in the report's language.

For: one reading of a version for every format, so that PDF, CDA and plain text cannot differ in what they say. Not for:
how it looks or is coded.

Invariants: an addendum is followed by the whole report that it adds to; a retraction names what it withdraws and
repeats none of it, since those words are about somebody else; a version that was withdrawn says so before anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from oncall.report.content import AnswerValue, Chapter, KeyImage, ReportContent
from oncall.report.states import in_force
from oncall.report.version import ReportVersion, VersionKind
from oncall.report_documents.characters import readable
from oncall.report_documents.person_name import displayed
from oncall.report_documents.source import DocumentSource, ExaminedStudy
from oncall.report_documents.texts import chapter_label, day, instant, kind_label, minute, number, text


class Weight(StrEnum):
    """How loudly a notice speaks."""

    ALARM = "alarm"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What must be read before the report."""

    weight: Weight
    title: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A label and what belongs to it."""

    label: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One chapter that says something."""

    chapter: Chapter
    label: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The content of one version; ``heading`` and ``byline`` are empty when it is the only one shown."""

    version: ReportVersion
    heading: str
    byline: str
    sections: tuple[Section, ...]
    answers: tuple[Row, ...]
    doses: tuple[Row, ...]
    key_images: tuple[KeyImage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A document in words; ``mark`` goes across every page, empty for none."""

    title: str
    kind: str
    version_line: str
    mark: str
    notices: tuple[Notice, ...]
    patient_name: str
    patient: tuple[Row, ...]
    exam: tuple[Row, ...]
    parts: tuple[Part, ...]
    signature: tuple[Row, ...]
    rendering_note: str


def outline(source: DocumentSource, *, is_shown: Callable[[str], bool] = lambda _text: True) -> Outline:
    """Return what a document of a version says; ``is_shown`` tells which scripts of a name the format can show."""
    version = source.version
    language = version.content.language
    name, is_whole = displayed(readable(source.subject.name), is_shown=is_shown)
    return Outline(
        title=readable(version.content.title),
        kind=kind_label(version.kind, language),
        version_line=f"{text('version', language)} {version.version}",
        mark=_mark(source),
        notices=_notices(source),
        patient_name=name if is_whole else f"{name} [{text('other_script', language)}]",
        patient=_patient_rows(source),
        exam=_exam_rows(source),
        parts=_parts(source),
        signature=_signature_rows(source),
        rendering_note=text("rendering_note", language),
    )


def base_of(source: DocumentSource) -> tuple[ReportVersion, ...]:
    """Return what an addendum adds to: the report that stands, and the addenda made to it before this one.

    Raises
    ------
    AssertionError
        An addendum with no report before it cannot have been signed.
    """
    standing = standing_before(source)
    assert standing, "an addendum adds to a report: give the versions before it"
    return standing


def standing_before(source: DocumentSource) -> tuple[ReportVersion, ...]:
    """Return what stood when this version was signed, oldest first."""
    return in_force([one.version for one in source.history if one.version.version < source.version.version])


def replaced_by(source: DocumentSource) -> ReportVersion | None:
    """Return the version that this one replaces or withdraws, where it is known."""
    for signed in source.history:
        if signed.version.version == source.version.replaces:
            return signed.version
    return None


def _mark(source: DocumentSource) -> str:
    """Return the word that goes across every page."""
    language = source.version.content.language
    if source.is_withdrawn:
        return text("mark_withdrawn", language)
    return text("mark_preliminary", language) if source.version.kind is VersionKind.PRELIMINARY else ""


def _notices(source: DocumentSource) -> tuple[Notice, ...]:
    """Return what must be read first, loudest first."""
    version, language = source.version, source.version.content.language
    reason = text("reason", language, reason=version.reason) if version.reason else ""
    notices = []
    if source.is_retracted and version.kind is not VersionKind.RETRACTION:
        title = text("withdrawn_title", language)
        notices.append(Notice(weight=Weight.ALARM, title=title, text=text("withdrawn_notice", language)))
    if version.kind is VersionKind.RETRACTION:
        said = _about_former(source, "retraction_notice") or text("withdrawn_notice", language)
        title = text("withdrawn_title", language)
        notices.append(Notice(weight=Weight.ALARM, title=title, text=_joined(said, reason)))
    if version.kind is VersionKind.PRELIMINARY:
        title = text("kind_preliminary", language)
        notices.append(Notice(weight=Weight.ALARM, title=title, text=text("preliminary_notice", language)))
    if version.kind is VersionKind.REPLACEMENT:
        title = text("replacement_title", language, version=version.replaces)
        said = _joined(_about_former(source, "replacement_notice"), reason)
        notices.append(Notice(weight=Weight.NOTE, title=title, text=said))
    if version.kind is VersionKind.ADDENDUM:
        title = text("addendum_title", language, version=base_of(source)[0].version)
        said = _joined(text("addendum_notice", language), reason)
        notices.append(Notice(weight=Weight.NOTE, title=title, text=said))
    return tuple(notices)


def _about_former(source: DocumentSource, key: str) -> str:
    """Return a text about the version that this one replaces or withdraws; empty when it is not known."""
    former = replaced_by(source)
    if former is None:
        return ""
    language = source.version.content.language
    signed_at = instant(former.signed_at, source.exam.time_zone, language)
    return text(key, language, version=former.version, name=former.author.name, instant=signed_at)


def _patient_rows(source: DocumentSource) -> tuple[Row, ...]:
    """Return the traits that identify the patient, besides the name."""
    subject, language = source.subject, source.version.content.language
    born = day(subject.birth_date, language) if subject.birth_date else text("not_stated", language)
    sex = text(subject.sex, language) if subject.sex in ("M", "F", "O") else text("not_stated", language)
    identifier = f"{subject.patient_id} ({subject.issuer})" if subject.issuer else subject.patient_id
    rows = [("born", born), ("sex", sex), ("patient_id", identifier)]
    if subject.ins is not None:
        rows.append(("ins", subject.ins.matricule))
    return tuple(Row(label=text(key, language), value=value) for key, value in rows)


def _exam_rows(source: DocumentSource) -> tuple[Row, ...]:
    """Return where, when, what and for whom, study by study."""
    exam, language = source.exam, source.version.content.language
    rows = [("site", f"{exam.site_name} (FINESS {exam.finess})" if exam.finess else exam.site_name)]
    for study in exam.studies:
        rows.append(("exam", _study_line(study, exam.procedure)))
        if study.study_date is not None:
            rows.append(("exam_date", minute(study.study_date, study.study_time, language)))
        if study.accession_number:
            rows.append(("accession_number", study.accession_number))
    requester = ", ".join(part for part in (exam.requester, exam.requester_service) if part)
    rows += [("requester", requester), ("referring_physician", displayed(exam.referring_physician)[0])]
    return tuple(Row(label=text(key, language), value=value) for key, value in rows if value)


def _study_line(study: ExaminedStudy, procedure: str) -> str:
    """Return what a study is."""
    return " · ".join(part for part in (study.modality, study.description or procedure) if part)


def _parts(source: DocumentSource) -> tuple[Part, ...]:
    """Return the contents that the document shows, newest first."""
    version, language = source.version, source.version.content.language
    if version.kind is not VersionKind.ADDENDUM:
        return (_part(source, version, heading=""),)
    whole, *addenda = base_of(source)
    return (
        _part(source, version, heading=text("part_addendum", language, version=version.version)),
        _part(source, whole, heading=text("part_original", language, version=whole.version)),
        *(_part(source, one, heading=text("part_addendum", language, version=one.version)) for one in addenda),
    )


def _part(source: DocumentSource, version: ReportVersion, *, heading: str) -> Part:
    """Return one version's content, with its signer under the heading when there is one."""
    content = version.content
    byline = ""
    if heading:
        when = instant(version.signed_at, source.exam.time_zone, source.version.content.language)
        byline = f"{version.author.name}, {when}"
    return Part(
        version=version,
        heading=heading,
        byline=byline,
        sections=_sections(content),
        answers=tuple(
            Row(label=answer.label, value=answer_text(answer.value, answer.unit, content)) for answer in content.answers
        ),
        doses=tuple(
            Row(label=dose.quantity, value=f"{number(dose.value, content.language)} {dose.unit}".strip())
            for dose in content.doses
        ),
        key_images=content.key_images,
    )


def _sections(content: ReportContent) -> tuple[Section, ...]:
    """Return the chapters that say something, in their order."""
    return tuple(
        Section(
            chapter=chapter, label=chapter_label(chapter, content.language), text=readable(content.text_of(chapter))
        )
        for chapter in Chapter
        if content.text_of(chapter).strip()
    )


def answer_text(value: AnswerValue, unit: str, content: ReportContent) -> str:
    """Return an answer as it is written."""
    if isinstance(value, bool):
        return text("yes" if value else "no", content.language)
    if isinstance(value, tuple):
        return ", ".join(value)
    written = value if isinstance(value, str) else number(value, content.language)
    return f"{written} {unit}".strip() if unit not in ("", "1") else written


def _signature_rows(source: DocumentSource) -> tuple[Row, ...]:
    """Return who signed, when, and by what that can be proved."""
    signed, language = source.signed, source.version.content.language
    author = signed.version.author
    who = ", ".join(part for part in (author.name, author.rpps and f"RPPS {author.rpps}", author.organisation) if part)
    when = instant(signed.version.signed_at, source.exam.time_zone, language)
    rows = [
        ("signed_by", f"{who}, {text('signed_on', language, instant=when)}"),
        ("case", f"{signed.version.case_id}, {text('version', language).lower()} {signed.version.version}"),
        ("digest", signed.digest),
        ("signature", f"{signed.signature.algorithm}, {text('key', language).lower()} {signed.signature.key_id}"),
    ]
    return tuple(Row(label=text(key, language), value=value) for key, value in rows)


def _joined(*sentences: str) -> str:
    """Return sentences as paragraphs."""
    return "\n".join(sentence for sentence in sentences if sentence)
