"""The on-call engine: the right radiologist in front of every emergency study, within the hour, provably.

Rooms: `directory` (who and where), `spans` and `rota` (who is on duty), `case` (the event-sourced case), `reading`
(triage, assignment, forecast), `escalation`, `notify` and `channels` (who is told, and what happens when nobody
answers), `engine` (timers, transactions). Of `pacs` it sees `pacs.contracts` only.
"""
