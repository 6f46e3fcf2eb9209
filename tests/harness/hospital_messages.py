"""Messages of a hospital, as its RIS and its patient administration send them, and the handler that takes them.

For: tests of what messages mean. Not for: their transport (`tests.harness.hl7_messages`). The patient has a test INS
whose key is right; the hospital is ``north`` of the small territory, its own identifiers are issued by ``NORTH``.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import hl7

from foundation.database import Database
from pacs.worklist.hl7.handling import HospitalMessages
from pacs.worklist.hl7.message import Accepted, Outcome, ReceivedMessage, SenderIdentity

PARIS: Final = ZoneInfo("Europe/Paris")
NIGHT: Final = datetime(2026, 1, 6, 12, 45, tzinfo=UTC)
SENDER: Final = SenderIdentity(application="RIS", facility="HNORD", site_id="north", issuer="NORTH")
INS: Final = "279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS"
OWN_ID: Final = "P1^^^NORTH&1.2.250.1.999.1&ISO^PI"
PLACER: Final = "OPN101^^1.2.250.1.748.12345678.12^ISO"
WHO: Final = "801234567897^MOREAU^Adam^^^DR^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
BY: Final = "STRUCTURE_IMAGERIE^^TLR_TYPE_ORGANISATION"
DONE: Final = "24725-4^^2.16.840.1.113883.6.1^ISO"
WHERE: Final = "Hôpital du Nord^^^^^ASIP-SANTE-ST&1.2.250.1.71.4.2.2&ISO^FINEG^^^420000001"


def header(kind: str, control_id: str = "M1", *, profile: str = "1.0^CISIS_TLR_HL7_V2") -> str:
    """Return an MSH."""
    said = f"20260106134418||{kind}|{control_id}|P|2.5.1|||||FRA|UNICODE UTF-8|||{profile}"
    return f"MSH|^~\\&|RIS|HNORD|TELEGARDE|GIE|{said}"


def pid(
    ids: Sequence[str] = (OWN_ID, INS), name: str = "PAT-TROIS^DOMINIQUE^DOMINIQUE^^^^L", birth: str = "19790328",
    sex: str = "F", reliability: str = "VALI",
) -> str:  # fmt: skip
    """Return a PID."""
    account = "405660^^^NORTH&1.2.250.1.999.1&ISO^AN"
    return f"PID|||{'~'.join(ids)}||{name}||{birth}|{sex}||||||||||{account}||||||||||||||{reliability}"


PV1: Final = "PV1||E|||||||||||||||||V77^^^NORTH&1.2.250.1.999.1&ISO^VN"


def flow_1(
    *extra: str, control_id: str = "M1", control: str = "NW", placer: str = PLACER, patient: str = "",
    before_order: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return a request by the ANS's flow 1: a CT of the head, with what the volume lets one say; `extra` are OBX."""
    lines = [
        header("ORM^O01^ORM_O01", control_id),
        patient or pid(),
        PV1,
        *before_order,
        f"ORC|{control}|{placer}|||||||20260106134418|||{WHO}||^PRN^CP^^^^^^^^^+33600000000|||{BY}||||{WHERE}",
        f"OBR||{placer}||TRANSMISSION_DEMANDE^^TLR_OBR_PROCEDURE|||||||||Déficit brutal|||{WHO}",
        "NTE|||Thrombolyse possible ?|FINALITE_EXAMEN^^HL70364",
        "OBX|1|CE|MODALITE_IMAGERIE^^TLR_OBSERVATION||CT^Scanner^DCM||||||O",
        "OBX|2|CE|REGION_ANATOMIQUE^^TLR_OBSERVATION|1.1|774007^tête et/ou cou^SCT||||||O",
        "OBX|3|CE|REGION_ANATOMIQUE^^TLR_OBSERVATION|1.2|24028007^côté droit^SCT||||||O",
        "OBX|4|FT|11322-5^^LN||Fibrillation auriculaire|||MAJEUR|||O",
        "OBX|5|NM|8302-2^^LN||170|cm|||||O",
        "OBX|6|NM|29463-7^^LN||68|kg|||||O",
        "OBX|7|CE|82810-3^^LN||N^^expandedYes-NoIndicator||||||O",
        *extra,
    ]
    return "".join(f"{line}\r" for line in lines)


def emergency() -> tuple[str, ...]:
    """Return the observations of the emergency extension."""
    return (
        "OBX|8|CE|PRIORITE_URGENCE^^TELEGARDE_URGENCE||S^Immédiat^HL70485||||||O",
        "OBX|9|CE|FILIERE_URGENCE^^TELEGARDE_URGENCE||AVC^Alerte AVC^TELEGARDE_URGENCE||||||O",
        "OBX|10|TS|11368-8^^LN||202601061230+0100||||||O",
        "OBX|11|TS|RESULTAT_ATTENDU_AVANT^^TELEGARDE_URGENCE||202601061500+0100||||||O",
        "OBX|12|FT|ANTICOAGULANT^^TELEGARDE_URGENCE||apixaban||||||O",
        "OBX|13|NM|14682-9^^LN||95|umol/L|||||O",
    )


def flow_2(*, control_id: str = "M2", placer: str = PLACER, patient: str = "") -> str:
    """Return a cancellation by the ANS's flow 2."""
    lines = [
        header("ORM^O01^ORM_O01", control_id),
        patient or pid(),
        PV1,
        f"ORC|CA|{placer}|||||||20260106134518|||{WHO}||||^Patient transféré|{BY}||||{WHERE}",
        f"OBR||{placer}||ANNULATION_DEMANDE^^TLR_OBR_PROCEDURE||||||||||||{WHO}",
    ]
    return "".join(f"{line}\r" for line in lines)


def flow_4(
    *extra: str, control_id: str = "M4", study_instance_uid: str = "1.2.250.1.999.4.1", placer: str = PLACER,
    patient: str = "",
) -> str:  # fmt: skip
    """Return what is added after the exam, by the ANS's flow 4."""
    lines = [
        header("OMI^O23^OMI_O23", control_id),
        patient or pid(),
        PV1,
        f"ORC|SR|{placer}",
        "TQ1||||||730^jours|20260106184418",
        f"OBR||{placer}||COMPLEMENT_POST_ACTE^^TLR_OBR_PROCEDURE",
        # https://drimbox.example/?study
        "OBX|1|ED|URL_PARTIELLE_VIEWER^^TLR_OBSERVATION||^TEXT^^Base64^aHR0cHM6Ly9kcmltYm94LmV4YW1wbGUvP3N0dWR5||||||F",
        "OBX|2|CE|CODE_ACTE_IMAGERIE^^TLR_OBSERVATION||24725-4^Scanner de la tête^LN||||||F",
        "OBX|3|CE|PRODUIT_ADMINISTRE^^TLR_OBSERVATION|1.1|V09^^ATC||||||F",
        "OBX|4|NM|PRODUIT_ADMINISTRE^^TLR_OBSERVATION|1.2|0123456789||||||F",
        "OBX|5|NM|PRODUIT_ADMINISTRE^^TLR_OBSERVATION|1.3|80|mL|||||F",
        "OBX|6|TX|APPAREIL_IMAGERIE^^TLR_OBSERVATION|1.1|1234567896363||||||F",
        "OBX|7|TX|APPAREIL_IMAGERIE^^TLR_OBSERVATION|1.2|Somatom||||||F",
        *extra,
        f"IPC|ACN101^^1.2.250.1.925.994044.27^ISO|{DONE}|{study_instance_uid}|{DONE}",
    ]
    return "".join(f"{line}\r" for line in lines)


def plain_order(
    *, control: str = "NW", control_id: str = "M1", number: str = "4711", priority: str = "R", modality: str = "CT",
    patient: str = "", status: str = "", more: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return ORM^O01 as RISs send it outside the ANS's volume."""
    exam, timing = "TDMAB^TDM abdomen^99NORD", f"^^^202601061430^^{priority}"
    lines = [
        header("ORM^O01", control_id, profile=""),
        patient or pid((OWN_ID,), reliability=""),
        PV1,
        f"ORC|{control}|{number}^RIS|F{number}^RIS||{status}||||||||||",
        f"OBR|1|{number}^RIS|F{number}^RIS|{exam}||||||||||||DOC1^Petit^Anne||||||||{modality}|||{timing}||||^Douleur",
        *more,
    ]
    return "".join(f"{line}\r" for line in lines)


def adt(event: str, *bodies: str, control_id: str = "A1") -> str:
    """Return an ADT message."""
    structure = {"A40": "ADT_A39", "A24": "ADT_A24", "A37": "ADT_A37"}.get(event, "ADT_A01")
    lines = [header(f"ADT^{event}^{structure}", control_id, profile=""), f"EVN|{event}|20260106134418", *bodies]
    return "".join(f"{line}\r" for line in lines)


def received(text: str, *, sender: SenderIdentity = SENDER, at: datetime = NIGHT) -> ReceivedMessage:
    """Return a message as the transport hands it to its handler."""
    parsed = hl7.parse(text)
    kind = str(parsed.segment("MSH")[9]).split("^")
    return ReceivedMessage(
        message_id=hashlib.sha256(text.encode()).hexdigest()[:32],
        control_id=str(parsed.segment("MSH")[10]),
        code=kind[0],
        event=kind[1],
        structure=kind[2] if len(kind) > 2 else "",
        version="2.5.1",
        processing_id="P",
        sender=sender,
        text=text,
        parsed=parsed,
        received_at=at,
    )


class Hospital:
    """Sends messages to one database, each in a transaction of its own that is kept only when it was accepted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handler = HospitalMessages({"north": PARIS, "south": PARIS}.get)

    def sends(self, text: str, *, sender: SenderIdentity = SENDER, at: datetime = NIGHT) -> Outcome:
        """Send a message; return what became of it."""
        with self._database.write(durable=True) as connection:
            savepoint = connection.begin_nested()
            outcome = self._handler.handle(connection, received(text, sender=sender, at=at), at)
            if isinstance(outcome, Accepted):
                savepoint.commit()
            else:
                savepoint.rollback()
        return outcome
