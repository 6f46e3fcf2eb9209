"""Every text that a wrong settings file can be answered with, in one place; each says what to do.

Invariant: no message holds the value of a secret; values are quoted only where the reader of the message wrote them.
"""

# ruff: noqa: S105  # texts about secrets, which the linter takes for secrets

from typing import Final

FILE_MISSING: Final = "there is no such file; `telegarde init` writes one, telegarde.example.toml shows every setting"
FILE_UNREADABLE: Final = "the file cannot be read ({reason}); check its owner and permissions"
FILE_NOT_TOML: Final = "not valid TOML: {reason}"
UNKNOWN_KEY: Final = "no such setting; remove it"
UNKNOWN_KEY_NEAR: Final = "no such setting; did you mean `{near}`?"
KEY_MISSING: Final = "must be given"
TABLE_WANTED: Final = "must be a table"
TABLES_WANTED: Final = "must be an array of tables: begin each entry with [[{key}]]"

TEXT_WANTED: Final = "must be text in quotes"
BOOLEAN_WANTED: Final = "must be true or false"
NUMBER_WANTED: Final = "must be a number from {least} to {most}"
WHOLE_NUMBER_WANTED: Final = "must be a whole number from {least} to {most}"
CHOICE_WANTED: Final = "must be one of: {choices}"
LIST_WANTED: Final = "must be a list: [..., ...]"
LISTED_TWICE: Final = "lists the same value twice; remove one"
HTTPS_WANTED: Final = "must begin with https:// (http:// only for this machine): what it carries answers a page"
HTTP_URL_WANTED: Final = "must begin with https:// or http://"
ABSOLUTE_PATH_WANTED: Final = "must be an absolute path"
HOST_WANTED: Final = "must be a host name or an IP address, without port"
AE_TITLE_WANTED: Final = "must be an AE title: 1 to 16 characters of ASCII, no backslash, not only spaces (PS3.5 6.2)"
NETWORK_WANTED: Final = "must be an IP address or a network such as 10.4.0.0/16 without host bits, not a name"
SOP_CLASS_WANTED: Final = (
    'must be a UID, a UID prefix that ends in a dot, or "*" for every private SOP class; '
    "standard ones (1.2.840.10008...) are accepted anyway"
)
DATABASE_URL_WANTED: Final = "must be a URL: postgresql+psycopg://user@host/name or sqlite:////absolute/path"
DATABASE_PASSWORD_IN_URL: Final = (
    "must not hold a password; put it into a file and name it in `database_password_file`, "
    "or set the environment variable {variable}"
)
SECRET_FILE_UNREADABLE: Final = "cannot be read ({reason}); check the path and that the service may read it"
SECRET_FILE_EMPTY: Final = "is empty; write the secret on its first line"
SECRET_TWICE: Final = "is given twice: remove this setting or unset {variable}"

AET_NONE: Final = "must name at least one AE title that this node answers to"
NO_LISTENER: Final = "nothing would listen: set it to true or add [dicom.tls]"
PORT_TAKEN: Final = "is the port of {other} too; choose another"
PEER_TWICE: Final = "AE title {aet} is configured twice; keep one entry and list its addresses there"
PEER_HOST_AND_PORT: Final = "give `host` and `port` together, or neither when this node never calls this peer"
PEER_ADDRESSES_MISSING: Final = (
    "must list the addresses this peer calls from, because it has rights (only a `host` that is an IP address "
    "is taken over by itself)"
)
PEER_ISSUER_MISSING: Final = (
    "must name the hospital whose Patient IDs this peer sends, because it may store: without it the same ID "
    "in two hospitals would be one patient"
)
PEER_SITE_MISSING: Final = (
    "must name the hospital that this peer works for, as the directory calls it, because it may ask for the worklist: "
    "each sees the patients of its own hospital only"
)
PEER_TLS_UNAVAILABLE: Final = "needs [dicom.tls] with certificate, key and CA files"
PEER_PLAIN_UNAVAILABLE: Final = "must be true, because accept_without_tls is false"
PEER_CERTIFICATE_WITHOUT_TLS: Final = "only means something with tls = true"
DESTINATION_UNKNOWN: Final = "{aet} is no configured peer; add it to [[peers]] or remove it here"
DESTINATION_NOT_CALLABLE: Final = "{aet} has no `host` and `port`, so nothing can be moved to it; add them to that peer"
DESTINATION_WITHOUT_RETRIEVE: Final = 'means nothing without "retrieve" in `rights`'
DESTINATION_STAR_ALONE: Final = 'use "*" alone: it means every configured peer'

ROUTING_NAME_WANTED: Final = "must be a name: 1 to 64 letters, digits, dots, hyphens and underscores"
MODALITY_WANTED: Final = "must be a modality as in (0008,0060), for example CT"
HOURS_WANTED: Final = "must be HH:MM-HH:MM by the wall clock, for example 18:00-08:00, or empty for the whole day"
TIME_ZONE_WANTED: Final = "must be a time zone of the IANA database, for example Europe/Paris"
NAMED_TWICE: Final = "{name} is configured twice; give each entry a name of its own"
ROUTE_DESTINATIONS_NONE: Final = "must name at least one of [[destinations]]"
ROUTE_DESTINATION_UNKNOWN: Final = "{name} is none of [[destinations]]; add it there or remove it here"
ROUTE_DESTINATION_ONE_WAY: Final = "give either `aet` (C-STORE to a peer) or `url` (STOW-RS), and not both"
ROUTE_URL_WANTED: Final = (
    "must begin with https:// (http:// only for this machine): what it carries are images of patients"
)
ROUTE_PLAIN_ALLOWED: Final = "means nothing without `url`"
ROUTE_PASSWORD_WITHOUT_NAME: Final = "give `username` and `password_file` together, and no `token_file` then"
PEER_UNCALLABLE: Final = "{aet} is no peer that has `host` and `port`; add them to [[peers]]"

HL7_CHARACTER_SET_WANTED: Final = "must be a character set of table 0211 that MLLP can frame: {known}"
HL7_NO_LISTENER: Final = "nothing would listen: set it to true or give `tls_port`"
HL7_TLS_UNAVAILABLE: Final = "needs [dicom.tls] with certificate, key and CA files: a node has one identity"
HL7_SENDER_TWICE: Final = "{application} is configured twice for the same facility; keep one entry"
HL7_SENDER_PLAIN_UNAVAILABLE: Final = "must be true, because hl7.accept_without_tls is false"
HL7_SENDER_TLS_UNAVAILABLE: Final = "needs `tls_port` in [hl7]"
HL7_SENDER_NAMELESS: Final = "must not be empty: it is what MSH-3 of its messages says"
HL7_SITE_MISSING: Final = "must name the site whose orders and patients it speaks of, as the on-call directory calls it"
HL7_ADDRESSES_MISSING: Final = "must list the addresses or networks that it calls from"
HL7_DESTINATION_TWICE: Final = "{name} is configured twice; keep one entry"
HL7_SENDS_WITHOUT_SITE: Final = "needs `site`: it is sent what happens to the orders of that site"

PEER_ARGUMENT: Final = "{text!r} is not AET=HOST:PORT"
OPEN_LOOPBACK_NOTICE: Final = (
    "OPEN ON LOOPBACK: any calling AE title may store, query, retrieve, commit and work from worklists; "
    "listens on 127.0.0.1 only; for trying out, never for patients"
)
