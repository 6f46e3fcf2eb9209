"""The one text of a report version, its digest, and the way back: what is signed is what is stored is what is proved.

For: bytes that are equal whenever versions are, on every machine and for decades; reading them back strictly. Not for:
what a document for people looks like (`oncall.report_documents`), or signatures over the digest
(`oncall.report.signing`).

Invariants: ``from_json(parse(version_bytes(v))) == v``; no key is ever dropped or guessed; texts are kept as written,
without Unicode normalisation, because the signer saw them so. Instants are whole microseconds since 1970 UTC.
"""

import hashlib
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from foundation.errors import PeerError
from foundation.instants import instant_of_us, microseconds
from oncall.case.event import CaseId
from oncall.directory import PersonId
from oncall.language import Language
from oncall.report.content import (
    CHARACTERS_MAX,
    Answer,
    AnswerValue,
    Chapter,
    CodedConcept,
    Dose,
    KeyImage,
    ReportContent,
)
from oncall.report.version import Author, ReportVersion, SeenStudy, Signature, SignedVersion, VersionKind
from oncall.strict_json import Record, Value, canonical

FORMAT: Final = "telegarde.report/1"
"""Stands in every signed text, so that a later layout can be told from this one."""

# Of one list of a content or of what its signer saw; a whole-body trauma form has some eighty answers.
ITEMS_MAX: Final = 2000
_VERSIONS_MAX: Final = 1000
_US_MAX: Final = 2**53
# Line feed and tab are written by people; other control characters come from broken programs, and XML cannot hold them.
_CONTROLS_ALLOWED: Final = frozenset("\n\t")


def version_bytes(version: ReportVersion) -> bytes:
    """Return the UTF-8 text of a version that its digest and signature are over."""
    return canonical(to_json(version)).encode()


def digest_of(version: ReportVersion) -> str:
    """Return SHA-256 of `version_bytes`, in lower-case hexadecimal."""
    return hashlib.sha256(version_bytes(version)).hexdigest()


def content_digest(content: ReportContent) -> str:
    """Return SHA-256 of a content alone: whether two people, or one twice, sign the same words."""
    return hashlib.sha256(canonical(content_to_json(content)).encode()).hexdigest()


def check_content(content: ReportContent) -> None:
    """Look at what cannot be signed, stored and printed by everybody who receives it.

    Raises
    ------
    foundation.errors.PeerError
        If the texts are longer than `CHARACTERS_MAX` together, a list than `ITEMS_MAX`, if a text holds control
        characters or half a character, or a number is none.
    """
    texts = list(_texts(content_to_json(content)))
    if sum(map(len, texts)) > CHARACTERS_MAX:
        message = f"a report has at most {CHARACTERS_MAX} characters in all its texts; shorten it"
        raise PeerError(message)
    if any(_is_unprintable(text) for text in texts):
        raise PeerError("a text holds a control character, which no document may hold; write it again without it")
    if max(len(content.answers), len(content.doses), len(content.key_images)) > ITEMS_MAX:
        message = f"a report has at most {ITEMS_MAX} answers, doses or key images each"
        raise PeerError(message)
    numbers = [dose.value for dose in content.doses]
    numbers += [answer.value for answer in content.answers if isinstance(answer.value, float)]
    if not all(math.isfinite(number) for number in numbers):
        raise PeerError("a dose or an answer is no number; correct it")


def to_json(version: ReportVersion) -> dict[str, Any]:
    """Return a version as a JSON object."""
    return {
        "format": FORMAT,
        "case_id": version.case_id,
        "version": version.version,
        "kind": version.kind.value,
        "content": content_to_json(version.content),
        "author": {
            "person_id": version.author.person_id,
            "name": version.author.name,
            "rpps": version.author.rpps,
            "organisation": version.author.organisation,
        },
        "signed_at_us": microseconds(version.signed_at),
        "patient_key": version.patient_key,
        "reason": version.reason,
        "replaces": version.replaces,
        "previous_digest": version.previous_digest,
        "seen": [_seen_to_json(study) for study in version.seen],
    }


def from_json(value: Value) -> ReportVersion:
    """Return the version that `to_json` wrote.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is missing, unknown or of another type.
    """
    keys = "format case_id version kind content author signed_at_us patient_key reason replaces previous_digest seen"
    record = value.record(keys.split())
    if record["format"].text() != FORMAT:
        raise record["format"].wrong(f"{FORMAT} is wanted")
    return ReportVersion(
        case_id=CaseId(record["case_id"].text()),
        version=record["version"].whole(1, _VERSIONS_MAX),
        kind=record["kind"].one_of(VersionKind),
        content=content_from_json(record["content"]),
        author=_author(record["author"]),
        signed_at=instant_of_us(record["signed_at_us"].whole(0, _US_MAX)),
        patient_key=record["patient_key"].any_text(),
        reason=record["reason"].any_text(),
        replaces=record.get("replaces", lambda one: one.whole(1, _VERSIONS_MAX), None),
        previous_digest=record["previous_digest"].any_text(),
        seen=tuple(record["seen"].each(_seen, items_max=ITEMS_MAX)),
    )


def content_to_json(content: ReportContent) -> dict[str, Any]:
    """Return a content as a JSON object."""
    return {
        "language": content.language.value,
        "title": content.title,
        "template_id": content.template_id,
        "template_version": content.template_version,
        **{chapter.value: content.text_of(chapter) for chapter in Chapter},
        "answers": [_answer_to_json(answer) for answer in content.answers],
        # A whole number given for a dose reads back as the same number: 5 and 5.0 are one text.
        "doses": [{"quantity": dose.quantity, "value": float(dose.value), "unit": dose.unit} for dose in content.doses],
        "key_images": [_image_to_json(image) for image in content.key_images],
    }


def content_from_json(value: Value) -> ReportContent:
    """Return the content that `content_to_json` wrote; chapters, lists and template may be left out.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is unknown or of another type.
    """
    chapters = [chapter.value for chapter in Chapter]
    optional = ("template_id", "template_version", *chapters, "answers", "doses", "key_images")
    record = value.record(("language", "title"), optional)
    texts = {key: record.get(key, Value.any_text, "") for key in ("template_id", "template_version", *chapters)}
    return ReportContent(
        language=record["language"].one_of(Language),
        title=record["title"].any_text(),
        answers=tuple(record.each("answers", _answer, items_max=ITEMS_MAX)),
        doses=tuple(record.each("doses", _dose, items_max=ITEMS_MAX)),
        key_images=tuple(record.each("key_images", _image, items_max=ITEMS_MAX)),
        **texts,
    )


def signed_to_json(signed: SignedVersion) -> dict[str, Any]:
    """Return a version with its proof as a JSON object; bytes are base64."""
    return {
        "version": to_json(signed.version),
        "digest": signed.digest,
        "signature": signature_to_json(signed.signature),
        "time_stamp": None if signed.time_stamp is None else b64encode(signed.time_stamp).decode(),
    }


def signed_from_json(value: Value) -> SignedVersion:
    """Return the signed version that `signed_to_json` wrote; nothing is verified.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is missing, unknown or of another type.
    """
    record = value.record(("version", "digest", "signature", "time_stamp"))
    return SignedVersion(
        version=from_json(record["version"]),
        digest=record["digest"].text(),
        signature=signature_from_json(record["signature"]),
        time_stamp=record.get("time_stamp", _bytes, None),
    )


def signature_to_json(signature: Signature) -> dict[str, Any]:
    """Return a signature as a JSON object; bytes are base64."""
    return {
        "algorithm": signature.algorithm,
        "key_id": signature.key_id,
        "public_key": b64encode(signature.public_key).decode(),
        "value": b64encode(signature.value).decode(),
    }


def signature_from_json(value: Value) -> Signature:
    """Return the signature that `signature_to_json` wrote.

    Raises
    ------
    oncall.strict_json.DocumentInvalid
        If a key is missing, unknown or of another type.
    """
    record = value.record(("algorithm", "key_id", "public_key", "value"))
    return Signature(
        algorithm=record["algorithm"].text(),
        key_id=record["key_id"].text(),
        public_key=_bytes(record["public_key"]),
        value=_bytes(record["value"]),
    )


def _texts(raw: Any) -> "list[str]":
    if isinstance(raw, str):
        return [raw]
    if isinstance(raw, Mapping):
        return [text for one in raw.values() for text in _texts(one)]
    return [text for one in raw for text in _texts(one)] if isinstance(raw, list) else []


def _is_unprintable(text: str) -> bool:
    # C0, DEL, C1, and halves of UTF-16 pairs, which have no UTF-8.
    return any(
        (one < " " or "\x7f" <= one <= "\x9f" or "\ud800" <= one <= "\udfff") and one not in _CONTROLS_ALLOWED
        for one in text
    )


def _author(value: Value) -> Author:
    record = value.record(("person_id", "name", "rpps", "organisation"))
    return Author(
        person_id=PersonId(record["person_id"].text()),
        name=record["name"].any_text(),
        rpps=record["rpps"].any_text(),
        organisation=record["organisation"].any_text(),
    )


def _seen_to_json(study: SeenStudy) -> dict[str, Any]:
    return {
        "issuer": study.issuer,
        "study_instance_uid": study.study_instance_uid,
        "instances": study.instances,
        "is_prior": study.is_prior,
        "modality": study.modality,
        "study_date": study.study_date,
        "description": study.description,
    }


def _seen(value: Value) -> SeenStudy:
    texts = ("issuer", "study_instance_uid", "modality", "study_date", "description")
    record = value.record((*texts, "instances", "is_prior"))
    return SeenStudy(
        instances=record["instances"].whole(0, _US_MAX),
        is_prior=record["is_prior"].flag(),
        **{key: record[key].any_text() for key in texts},
    )


def _answer_to_json(answer: Answer) -> dict[str, Any]:
    concept = answer.concept
    return {
        "field_id": answer.field_id,
        "label": answer.label,
        "value": list(answer.value) if isinstance(answer.value, tuple) else answer.value,
        "unit": answer.unit,
        "concept": concept and {"code": concept.code, "scheme": concept.scheme, "meaning": concept.meaning},
    }


def _answer(value: Value) -> Answer:
    record = value.record(("field_id", "label", "value"), ("unit", "concept"))
    return Answer(
        field_id=record["field_id"].text(),
        label=record["label"].any_text(),
        value=_answer_value(record["value"]),
        unit=record.get("unit", Value.any_text, ""),
        concept=record.get("concept", _concept, None),
    )


def _answer_value(value: Value) -> AnswerValue:
    if isinstance(value.raw, list):
        return tuple(value.each(Value.any_text, items_max=ITEMS_MAX))
    if isinstance(value.raw, str | int | float):
        return value.raw
    raise value.wrong("a text, a number, true, false or a list of texts is wanted")


def _concept(value: Value) -> CodedConcept:
    record = value.record(("code", "scheme", "meaning"))
    return CodedConcept(code=record["code"].text(), scheme=record["scheme"].text(), meaning=record["meaning"].text())


def _dose(value: Value) -> Dose:
    record = value.record(("quantity", "value", "unit"))
    return Dose(
        quantity=record["quantity"].text(), value=record["value"].number(0.0, 1e12), unit=record["unit"].any_text()
    )


def _image_to_json(image: KeyImage) -> dict[str, Any]:
    return {
        "study_instance_uid": image.study_instance_uid,
        "series_instance_uid": image.series_instance_uid,
        "sop_class_uid": image.sop_class_uid,
        "sop_instance_uid": image.sop_instance_uid,
        "frames": list(image.frames),
        "note": image.note,
    }


def _image(value: Value) -> KeyImage:
    uids = ("study_instance_uid", "series_instance_uid", "sop_class_uid", "sop_instance_uid")
    record: Record = value.record(uids, ("frames", "note"))
    return KeyImage(
        frames=tuple(record.each("frames", lambda one: one.whole(1, _US_MAX), items_max=ITEMS_MAX)),
        note=record.get("note", Value.any_text, ""),
        **{key: record[key].text() for key in uids},
    )


def _bytes(value: Value) -> bytes:
    try:
        return b64decode(value.text(characters_max=1_000_000), validate=True)
    except ValueError:
        raise value.wrong("base64 is wanted") from None
