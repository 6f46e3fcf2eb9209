"""Codes of messages and what they mean here, as tables: order control, priority, regions, kinds of exam, identities.

For: `orders_in`, `patients_in`, `validation`, and what is sent. Not for: rules; a table says what, never whether.

Kinds of exam and urgencies are words of the on-call engine: an empty one means that the message does not say.

References
----------
HL7 2.5.1 tables 0038, 0119, 0136, 0445, 0485; IHE RAD TF-2 4.4 (priority to (0040,1003)); PS3.16 CID 4031 (regions);
ANS volet Téléradiologie, HEAD e13d37a (TLR_OBR_PROCEDURE, TLR_OBSERVATION, TLR_TYPE_ORGANISATION); IHE PAM France 2.11
(table 0445: reliability of identities)
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pacs.worklist.order import OrderPriority


class Wanted(StrEnum):
    """What an order message asks for."""

    PLACE = "place"
    CANCEL = "cancel"
    STATUS = "status"


ORDER_CONTROL: Final[Mapping[str, Wanted]] = MappingProxyType(
    {
        "NW": Wanted.PLACE,  # new order
        "XO": Wanted.PLACE,  # change order
        "XX": Wanted.PLACE,  # order was changed
        "PA": Wanted.PLACE,  # parent order
        "CH": Wanted.PLACE,  # child order
        "CA": Wanted.CANCEL,  # cancel order
        "OC": Wanted.CANCEL,  # order was cancelled
        "DC": Wanted.CANCEL,  # discontinue order
        "OD": Wanted.CANCEL,  # order was discontinued
        "SC": Wanted.STATUS,  # status changed
        "SR": Wanted.STATUS,  # status response; flux 4 of the ANS
    }
)
"""ORC-1 (table 0119): what is taken. Anything else is answered AE."""

DONE: Final = frozenset({"CM"})
"""ORC-5 (table 0038): the exam is done."""

TAKEN_BACK: Final = frozenset({"CA", "DC"})
"""ORC-5: nobody wants it any more."""

PRIORITY: Final[Mapping[str, OrderPriority]] = MappingProxyType(
    {
        "S": OrderPriority.STAT,
        "STAT": OrderPriority.STAT,
        "A": OrderPriority.HIGH,
        "ASAP": OrderPriority.HIGH,
        "P": OrderPriority.HIGH,  # before surgery
        "C": OrderPriority.HIGH,  # call back
        "T": OrderPriority.HIGH,  # timing critical
        "R": OrderPriority.ROUTINE,
    }
)
"""TQ1-9 or the sixth component of OBR-27 (table 0485); words that older senders write beside them."""

URGENCY: Final[Mapping[OrderPriority, str]] = MappingProxyType({OrderPriority.STAT: "1", OrderPriority.HIGH: "2"})
"""Which orders are emergencies for those on call, and how urgent. A routine exam is on the worklist only."""

URGENCY_OF_TELERADIOLOGY: Final = "3"
"""A request that a hospital sends to the teleradiology service (flux 1) without a priority is a case all the same."""

PREGNANCY: Final[Mapping[str, int]] = MappingProxyType({"N": 1, "Y": 3})
"""Table 0136 to Pregnancy Status (0010,21C0); anything else is unknown (4)."""

PREGNANCY_UNKNOWN: Final = 4


class TlrProcedure(StrEnum):
    """OBR-4 of the four flows (TLR_OBR_PROCEDURE)."""

    REQUEST = "TRANSMISSION_DEMANDE"
    CANCELLATION = "ANNULATION_DEMANDE"
    ANSWER = "REPONSE_DEMANDE"
    COMPLEMENT = "COMPLEMENT_POST_ACTE"


TLR_PROCEDURES: Final = "TLR_OBR_PROCEDURE"
TLR_LABELS: Final[Mapping[TlrProcedure, str]] = MappingProxyType(
    {
        TlrProcedure.REQUEST: "Transmission d'une demande d'examen d'imagerie",
        TlrProcedure.CANCELLATION: "Annulation d'une demande d'examen",
        TlrProcedure.ANSWER: "Réponse à une demande d'examen d'imagerie",
        TlrProcedure.COMPLEMENT: "Transmission d'un complément d'information post-examen",
    }
)

TLR_PROFILE: Final = ("1.0", "CISIS_TLR_HL7_V2")
"""MSH-21 of the four flows."""

TLR_ORGANISATIONS: Final = "TLR_TYPE_ORGANISATION"
IMAGING_SITE: Final = "STRUCTURE_IMAGERIE"
TELERADIOLOGY: Final = "PLATEFORME_TLR"


class TlrObservation(StrEnum):
    """OBX-3 of the four flows (TLR_OBSERVATION)."""

    REGION = "REGION_ANATOMIQUE"
    PROTOCOL = "PROTOCOLE_IMAGERIE"
    VIEWER = "URL_PARTIELLE_VIEWER"
    PRODUCT = "PRODUIT_ADMINISTRE"
    DEVICE = "APPAREIL_IMAGERIE"
    MODALITY = "MODALITE_IMAGERIE"
    PROCEDURE = "CODE_ACTE_IMAGERIE"


TLR_OBSERVATIONS: Final = "TLR_OBSERVATION"
PURPOSE_NOTE: Final = "FINALITE_EXAMEN"


class Loinc(StrEnum):
    """LOINC codes of observations that requests carry; the first four are the ANS's."""

    HISTORY = "11322-5"
    HEIGHT = "8302-2"
    WEIGHT = "29463-7"
    PREGNANCY = "82810-3"
    ONSET = "11368-8"  # illness or injury onset date and time
    CREATININE = "2160-0"  # creatinine in serum or plasma, mass
    CREATININE_MOLES = "14682-9"  # creatinine in serum or plasma, moles
    EGFR = "98979-8"  # CKD-EPI 2021


LOINC: Final = "LN"


class Emergency(StrEnum):
    """OBX-3 of this project's emergency extension (docs/hl7.md), coding system `EMERGENCY_OBSERVATIONS`."""

    PRIORITY = "PRIORITE_URGENCE"
    PATHWAY = "FILIERE_URGENCE"
    WANTED_BY = "RESULTAT_ATTENDU_AVANT"
    ANTICOAGULANT = "ANTICOAGULANT"
    EXPECTED_IMAGES = "NOMBRE_IMAGES"


EMERGENCY_OBSERVATIONS: Final = "TELEGARDE_URGENCE"

PATHWAYS: Final[Mapping[str, str]] = MappingProxyType(
    {"AVC": "stroke", "STROKE": "stroke", "POLYTRAUMA": "wbct", "POLYTRAUMATISE": "wbct"}
)
"""FILIERE_URGENCE to a kind of exam."""

EXAM_OF_REGION: Final[Mapping[str, str]] = MappingProxyType(
    {
        "774007": "head",  # head and/or neck
        "69536005": "head",
        "12738006": "head",  # brain
        "89546000": "head",  # skull
        "45048000": "head",  # neck: its vessels are read with the head's
        "51185008": "chest",
        "39607008": "chest",  # lung
        "80891009": "chest",  # heart
        "113345001": "abdo",
        "818981001": "abdo",
        "818983003": "abdo",
        "12921003": "abdo",  # pelvis
        "816092008": "abdo",  # pelvis
        "416949008": "abdo",  # abdomen and pelvis
        "818982008": "abdo",  # abdomen and pelvis
        "416550000": "abdo",  # chest and abdomen
        "416775004": "abdo",  # chest, abdomen and pelvis
        "416319003": "abdo",  # neck to pelvis
        "64033007": "abdo",  # kidney
        "421060004": "msk",  # vertebral column
        "122494005": "msk",
        "122495006": "msk",
        "122496007": "msk",
        "53120007": "msk",  # upper limb
        "61685007": "msk",  # lower limb
        "29836001": "msk",  # hip
        "72696002": "msk",  # knee
        "16982005": "msk",  # shoulder
    }
)
"""SNOMED CT codes of regions to kinds of exam. A whole-body scan is none: only a pathway says that it is a trauma."""

CODING_SCHEMES: Final[Mapping[str, str]] = MappingProxyType(
    {"LN": "LN", "SCT": "SCT", "SNT": "SCT", "DCM": "DCM", "ATC": "ATC", "CCAM": "CCAM"}
)
"""HL7 names of coding systems to designators of PS3.16 chapter 8; others are kept as they are, to 16 characters."""

VALIDATED: Final = "VALI"
"""PID-32: identity validated (IHE PAM France)."""

NIR_OIDS: Final = frozenset({"1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"})
"""INS-NIR in production, in test and in demonstration."""

NIA_OID: Final = "1.2.250.1.213.1.4.9"
INS_OIDS: Final = NIR_OIDS | {NIA_OID}
INS_TYPE: Final = "INS"

PROFESSIONALS_OID: Final = "1.2.250.1.71.4.2.1"
STRUCTURES_OID: Final = "1.2.250.1.71.4.2.2"
