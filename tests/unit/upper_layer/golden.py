"""Golden bytes, written by hand from PS3.8 9.3 and PS3.7 with a comment per field. Spaces and comments mean nothing."""

from __future__ import annotations

import re


def annotated(text: str) -> bytes:
    """Read hexadecimal with ``#`` comments; ``'text'`` stands for its ASCII bytes."""
    raw = bytearray()
    for line in text.splitlines():
        for word in re.findall(r"'[^']*'|[0-9A-Fa-f]+", line.split("#")[0]):
            raw += word[1:-1].encode("ascii") if word.startswith("'") else bytes.fromhex(word)
    return bytes(raw)


ASSOCIATE_RQ = annotated("""
    01 00 000001A6                           # A-ASSOCIATE-RQ, 422 bytes follow
    0001 0000                                # protocol version 1, reserved
    'TELEGARDE       '                       # called AE title
    'CT_ROANNE       '                       # calling AE title
    0000000000000000 0000000000000000 0000000000000000 0000000000000000
    10 00 0015 '1.2.840.10008.3.1.1.1'       # application context
    20 00 0052                               # presentation context
      01 00 00 00                            #   ID 1
      30 00 0019 '1.2.840.10008.5.1.4.1.1.2' #   CT Image Storage
      40 00 0016 '1.2.840.10008.1.2.4.80'    #   JPEG-LS Lossless
      40 00 0013 '1.2.840.10008.1.2.1'       #   Explicit VR Little Endian
    20 00 0030                               # presentation context
      FF 00 00 00                            #   ID 255
      30 00 0011 '1.2.840.10008.1.1'         #   Verification
      40 00 0013 '1.2.840.10008.1.2.1'       #   Explicit VR Little Endian
    50 00 00BB                               # user information
      51 00 0004 00004000                    #   Maximum Length 16384
      52 00 001D '1.2.826.0.1.3680043.10.9999.1' # implementation class UID
      53 00 0004 0000 0001                   #   asynchronous operations: invoke without limit, perform 1
      54 00 001D                             #   role selection
        0019 '1.2.840.10008.5.1.4.1.1.2'     #     CT Image Storage
        00 01                                #     not SCU, but SCP
      55 00 0005 'TESTS'                     #   implementation version name
      56 00 0020                             #   SOP class extended negotiation
        001B '1.2.840.10008.5.1.4.1.2.2.1'   #     Study Root FIND
        01 01 00                             #     relational, date-time, not fuzzy
      57 00 0024                             #   SOP class common extended negotiation
        0009 '1.2.3.4.5'                     #     SOP class
        0011 '1.2.840.10008.4.2'             #     service class: Storage
        0004 0002 '1.'                       #     related general SOP classes (2 bytes of nonsense)
      58 00 0010 02 01 0005 'night' 0005 'guard' # user identity: name and passcode, response requested
""")

ASSOCIATE_AC = annotated("""
    02 00 000000E1                           # A-ASSOCIATE-AC, 225 bytes follow
    0001 0000                                # protocol version 1, reserved
    'TELEGARDE       '                       # reserved: the called AE title again
    'CT_ROANNE       '                       # reserved: the calling AE title again
    0000000000000000 0000000000000000 0000000000000000 0000000000000000
    10 00 0015 '1.2.840.10008.3.1.1.1'       # application context
    21 00 001B                               # presentation context
      01 00 00 00                            #   ID 1: acceptance
      40 00 0013 '1.2.840.10008.1.2.1'       #   Explicit VR Little Endian
    21 00 0019                               # presentation context
      FF 00 03 00                            #   ID 255: abstract syntax not supported
      40 00 0011 '1.2.840.10008.1.2'         #   not significant
    50 00 0044                               # user information
      51 00 0004 00020000                    #   Maximum Length 131072
      52 00 001D '1.2.826.0.1.3680043.10.9999.1' # implementation class UID
      53 00 0004 0001 0001                   #   asynchronous operations: synchronous
      55 00 0009 'TELEGARDE'                 #   implementation version name
      59 00 0002 0000                        #   user identity response, empty
""")

ASSOCIATE_RJ = annotated("""
    03 00 00000004                           # A-ASSOCIATE-RJ, 4 bytes follow
    00 01 01 07                              # permanent, by the service user, called AE title not recognized
""")

C_STORE_RQ = annotated("""
    0000 0000 04000000 72000000              # Command Group Length 114
    0000 0200 1A000000 '1.2.840.10008.5.1.4.1.1.2' 00 # Affected SOP Class UID, padded with NUL
    0000 0001 02000000 0100                  # Command Field C-STORE-RQ
    0000 1001 02000000 3412                  # Message ID 1234H
    0000 0007 02000000 0000                  # Priority MEDIUM
    0000 0008 02000000 0100                  # Command Data Set Type: there is one
    0000 0010 0A000000 '1.2.3.4.55'          # Affected SOP Instance UID
    0000 3010 04000000 'MOVE'                # Move Originator AE Title
    0000 3110 02000000 0500                  # Move Originator Message ID 5
""")

C_STORE_RSP = annotated("""
    0000 0000 04000000 68000000              # Command Group Length 104
    0000 0200 1A000000 '1.2.840.10008.5.1.4.1.1.2' 00 # Affected SOP Class UID
    0000 0001 02000000 0180                  # Command Field C-STORE-RSP
    0000 2001 02000000 3412                  # Message ID Being Responded To 1234H
    0000 0008 02000000 0101                  # Command Data Set Type: none
    0000 0009 02000000 00A7                  # Status A700H
    0000 0209 04000000 'full'                # Error Comment
    0000 0010 0A000000 '1.2.3.4.55'          # Affected SOP Instance UID
""")
