"""What can be said after ``telegarde oncall``.

For: the grammar only, so that ``--help`` answers at once. Not for: doing anything (``territory.cli_oncall*``).

Stable: the names of commands and options here are promised to stay; others build on them.
"""

import argparse
from pathlib import Path
from typing import Final, TypeAlias

FORMATS_IN: Final = ("ics", "csv", "json", "opsgenie", "grafana")
FORMATS_OUT: Final = ("ics", "csv", "json")
TEMPLATE_FORMATS: Final = ("json", "mrrt")
PROTOCOL_FORMATS: Final = ("json", "csv")
LANGUAGES: Final = ("fr", "en")
EXAMS: Final = ("stroke", "wbct", "head", "abdo", "chest", "msk")
FIGURES_BY: Final = ("site", "class", "period", "provider", "reader")
RECIPIENTS: Final = ("treating_physician", "other_physician")
REPORT_CHANNELS: Final = ("email", "dicom", "hl7")
SWAP_ACTIONS: Final = ("request", "accept", "release", "approve", "refuse", "withdraw", "list")

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_oncall(command: argparse.ArgumentParser) -> None:
    """Add the on-call commands to ``telegarde oncall``."""
    commands = command.add_subparsers(dest="oncall_command", required=True, metavar="COMMAND")
    _add_who(commands)
    _add_gaps(commands)
    _add_ledger(commands)
    _add_holidays(commands)
    _add_import(commands)
    _add_export(commands)
    _add_generate(commands)
    _add_swap(commands)
    _add_simulate(commands)
    _add_plan_blanc(commands)
    _add_recall_end(commands)
    _add_case(commands)
    _add_why(commands)
    _add_evidence(commands)
    _add_templates(commands)
    _add_protocols(commands)
    _add_keys(commands)
    _add_figures(commands)
    _add_morning_report(commands)
    _add_monthly_report(commands)
    _add_billing(commands)
    _add_deliveries(commands)
    _add_authorise(commands)


def _command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="answer with one JSON object on standard output")
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
    command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")
    return command


def _add_within(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--from", dest="begin", metavar="WHEN", help=f"a day, or an instant with its offset (default: {default})"
    )
    command.add_argument("--to", dest="end", metavar="WHEN", help="up to, not with: a day or an instant")


def _add_at(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--at", metavar="INSTANT", help="an instant with its offset, like 2026-10-25T02:30+02:00 (default: now)"
    )


def _add_who(commands: _Commands) -> None:
    command = _command(commands, "who", "Say who is on duty at an instant; exit 1 when a seat is empty then.")
    _add_at(command)
    command.add_argument("--line", metavar="LINE", help="of this line only")
    command.add_argument(
        "--site", metavar="SITE", help="of the lines that serve this hospital, its first provider first"
    )
    command.add_argument("--contacts", action="store_true", help="with the ways to reach them")


def _add_gaps(commands: _Commands) -> None:
    command = _command(
        commands, "gaps", "List seats that nobody has, people in two places, and duty during leave; exit 1 if any."
    )
    _add_within(command, "now, for a year, as far as anything is planned")


def _add_ledger(commands: _Commands) -> None:
    command = _command(
        commands, "ledger", "Count who had which nights, weekends, holidays, hours and calls, and how evenly."
    )
    _add_within(command, "17 weeks ago, up to now")
    command.add_argument("--csv", action="store_true", help="write a table for a spreadsheet instead")


def _add_holidays(commands: _Commands) -> None:
    command = _command(commands, "holidays", "List a year's public holidays, and at which hospitals they are some.")
    command.add_argument("--year", type=int, metavar="YEAR", help="default: this year")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--site", metavar="SITE", help="of this hospital only")
    where.add_argument("--commune", metavar="CODE", help="of a commune, by its INSEE code, wherever it is")


def _add_import(commands: _Commands) -> None:
    command = _command(commands, "import", "Take over a directory, a roster, or shifts from another program.")
    command.add_argument("file", type=Path, metavar="FILE", help="what to import; - is standard input")
    command.add_argument("--format", choices=FORMATS_IN, help="default: by the name of the file")
    command.add_argument("--line", metavar="LINE", help="the line that shifts go into, when they do not say it")
    command.add_argument(
        "--rotation", metavar="NAME", help="which rotation (Opsgenie) or schedule (Grafana) of several"
    )
    command.add_argument("--map", type=Path, metavar="FILE", help="JSON object: name over there -> identifier here")
    _add_within(command, "now, for a year")
    command.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who imports (default: %(default)s)"
    )
    command.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    command.add_argument(
        "--accept-violations", action="store_true", help="import shifts that break a rule of rest; they stay flagged"
    )


def _add_export(commands: _Commands) -> None:
    command = _command(commands, "export", "Write shifts as a calendar feed or table, or the roster or directory.")
    command.add_argument("--format", choices=FORMATS_OUT, help="default: by the name of the output, else ics")
    command.add_argument(
        "--what", choices=("shifts", "roster", "directory"), default="shifts", help="default: %(default)s"
    )
    whose = command.add_mutually_exclusive_group()
    whose.add_argument("--person", metavar="PERSON", help="one person's shifts")
    whose.add_argument("--site", metavar="SITE", help="shifts of the lines that serve a hospital")
    whose.add_argument("--line", metavar="LINE", help="one line's shifts")
    _add_within(command, "a month ago, for 400 days")
    command.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")


def _add_generate(commands: _Commands) -> None:
    command = _command(
        commands,
        "generate",
        "Fill the seats of some months, legally and evenly, and publish them; exit 1 if impossible.",
    )
    command.add_argument("--from", dest="first_day", required=True, metavar="DAY", help="the first day")
    command.add_argument("--to", dest="until", required=True, metavar="DAY", help="up to, not with")
    command.add_argument(
        "--line", action="append", default=[], metavar="LINE", help="repeat for more (default: all without a rotation)"
    )
    command.add_argument(
        "--person",
        action="append",
        default=[],
        metavar="PERSON",
        help="who may have the seats; repeat for more (default: whoever had the line's in the year before)",
    )
    command.add_argument(
        "--search-s", type=int, default=30, metavar="S", help="seconds to search for an even one (default: %(default)s)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="SEED", help="of the search (default: %(default)s)")
    command.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who plans (default: %(default)s)"
    )
    command.add_argument("--dry-run", action="store_true", help="search and check, change nothing")


def _add_swap(commands: _Commands) -> None:
    command = _command(
        commands, "swap", "Ask for a swap or give-away, take it, and list what is open; exit 1 when refused."
    )
    command.add_argument("action", choices=SWAP_ACTIONS)
    command.add_argument("--swap", metavar="ID", help="the request that is acted on (all but request and list)")
    command.add_argument("--person", metavar="PERSON", help="who gives a shift away (request), or takes it (accept)")
    command.add_argument("--line", metavar="LINE", help="the shift's line (request)")
    command.add_argument("--shift-at", metavar="INSTANT", help="an instant in the shift, with its offset (request)")
    command.add_argument(
        "--with",
        dest="offered_to",
        action="append",
        default=[],
        metavar="PERSON",
        help="who may take it; repeat for more",
    )
    command.add_argument("--for-line", metavar="LINE", help="the line of the shift wanted in return (request)")
    command.add_argument("--for-shift-at", metavar="INSTANT", help="an instant in the shift wanted in return (request)")
    command.add_argument("--needs-approval", action="store_true", help="a coordinator approves it after it was taken")
    command.add_argument("--by", metavar="PERSON", help="who acts: a coordinator may, for others (default: the person)")
    command.add_argument("--reason", default="", metavar="TEXT", help="why it is refused or withdrawn; no patient data")


def _add_simulate(commands: _Commands) -> None:
    command = _command(commands, "simulate", "Read a simulated night with the engine and the roster of that night.")
    command.add_argument("--night", metavar="DAY", help="the evening's day (default: tonight)")
    command.add_argument("--volume", type=int, default=80, metavar="N", help="studies expected (default: %(default)s)")
    command.add_argument("--seed", type=int, default=1000, metavar="SEED", help="default: %(default)s")


def _add_plan_blanc(commands: _Commands) -> None:
    command = _command(commands, "plan-blanc", "Recall the staff in parallel, or drill it.")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--drill", action="store_true", help="page nobody: show who would be called, and how fast")
    how.add_argument(
        "--for-real", metavar="WORD", help="call everybody now; WORD is PLAN-BLANC, so that no slip does it"
    )
    command.add_argument("--site", action="append", default=[], metavar="SITE", help="only people of these hospitals")
    command.add_argument("--role", action="append", default=[], metavar="ROLE", help="only people of these roles")
    command.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who recalls (default: %(default)s)"
    )


def _add_recall_end(commands: _Commands) -> None:
    command = _command(commands, "recall-end", "End a recall: nobody is called any more, and who was is told.")
    command.add_argument("recall", metavar="RECALL", help="its identifier, as plan-blanc and the page show it")
    command.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who ends it (default: %(default)s)"
    )


_CASE_HELP: Final = "its identifier, or the six characters of an open case"


def _add_case(commands: _Commands) -> None:
    command = _command(commands, "case", "Show a case: where it is, its clocks, and everything that happened to it.")
    command.add_argument("case", metavar="CASE", help=_CASE_HELP)


def _add_why(commands: _Commands) -> None:
    command = _command(commands, "why", "Explain who was given a case: candidates, scores, exclusions with reasons.")
    command.add_argument("case", metavar="CASE", help=_CASE_HELP)
    command.add_argument("--not", dest="not_person", metavar="PERSON", help="why the newest decision was not for them")


def _add_evidence(commands: _Commands) -> None:
    make = _command(commands, "evidence", "Write the sealed dossier of a case for one centre, and record that it was.")
    make.add_argument("case", metavar="CASE", help=_CASE_HELP)
    make.add_argument("--centre", required=True, metavar="SITE", help="the hospital whose copy it is, or platform")
    make.add_argument("--output", required=True, type=Path, metavar="FILE", help="ends in .json or .pdf")
    make.add_argument("--language", choices=("fr", "en"), default="fr", help="of the PDF (default: %(default)s)")
    make.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who wants it (default: %(default)s)"
    )
    check = _command(
        commands, "verify-evidence", "Prove a dossier from its file; exit 1 and where, when anything is not as sealed."
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the dossier: JSON, or the PDF that carries it")
    check.add_argument(
        "--public-key", metavar="KEY", help="the node's: a file (PEM, 32 bytes or hexadecimal), or hexadecimal digits"
    )
    check.add_argument(
        "--time-stamp-roots", type=Path, metavar="FILE", help="root certificates (PEM): verify its time stamps too"
    )
    both = _command(
        commands, "reconcile", "List every difference between two copies of a case's dossier; exit 1 if any."
    )
    both.add_argument("a", type=Path, metavar="A", help="one copy")
    both.add_argument("b", type=Path, metavar="B", help="the other")
    _command(commands, "verify-log", "Prove every log and every anchor; exit 1 and where, when one is broken.")
    _command(commands, "anchor", "Make an anchor over all logs now; the serving node makes one a day by itself.")


def _add_keys(commands: _Commands) -> None:
    summary = "List the keys that have signed reports, make new ones, revoke some."
    command = commands.add_parser("keys", help=summary, description=summary)
    actions = command.add_subparsers(dest="keys_command", required=True, metavar="ACTION")
    shown = _command(actions, "list", "List every key that ever signed here, revoked ones too.")
    shown.add_argument("--holder", metavar="HOLDER", help='of this person only, or of the "node"')
    rotate = _command(actions, "rotate", "Make a new key for somebody on this node; the old one signs no more here.")
    rotate.add_argument("holder", metavar="HOLDER", help='a person\'s identifier, or "node"')
    revoke = _command(actions, "revoke", "Say that a key signs nothing from now on, anywhere in the territory.")
    revoke.add_argument("key_id", metavar="KEY", help="its name, as keys list shows it")
    revoke.add_argument("--reason", required=True, metavar="TEXT", help="why: it is kept beside the key")
    revoke.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who revokes it (default: %(default)s)"
    )


def _add_templates(commands: _Commands) -> None:
    summary = "List, show, import and export report templates."
    command = commands.add_parser("templates", help=summary, description=summary)
    actions = command.add_subparsers(dest="templates_command", required=True, metavar="ACTION")
    _add_language(_command(actions, "list", "List the report templates in force."), "of this language only")
    show = _command(actions, "show", "Show what a report template asks and says.")
    _add_template(show)
    take = _command(actions, "import", "Publish report templates from a file.")
    take.add_argument("file", type=Path, metavar="FILE", help="JSON, or MRRT in HTML5; - is standard input")
    take.add_argument("--format", choices=TEMPLATE_FORMATS, help="default: by the name of the file")
    take.add_argument("--id", metavar="ID", help="the template's name here (MRRT; default: made of its own)")
    _add_template_version(take, "the version's name (MRRT; default: its date)")
    _add_language(take, "the file's language, when it does not say it (MRRT)")
    take.add_argument(
        "--exam", action="append", default=[], choices=EXAMS, help="what it is for (MRRT); repeat for more"
    )
    take.add_argument(
        "--modality", action="append", default=[], metavar="MODALITY", help="such as CT (MRRT); repeat for more"
    )
    take.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who imports (default: %(default)s)"
    )
    take.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    give = _command(actions, "export", "Write a report template as JSON, or as MRRT in HTML5.")
    _add_template(give)
    give.add_argument("--format", choices=TEMPLATE_FORMATS, help="default: by the name of the output, else json")
    give.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")


def _add_protocols(commands: _Commands) -> None:
    summary = "List, show, import and export exam protocols."
    command = commands.add_parser("protocols", help=summary, description=summary)
    actions = command.add_subparsers(dest="protocols_command", required=True, metavar="ACTION")
    _add_language(_command(actions, "list", "List the exam protocols in force."), "of this language only")
    show = _command(actions, "show", "Show what an exam protocol asks.")
    show.add_argument("protocol", metavar="PROTOCOL", help="its identifier, as list shows it")
    take = _command(actions, "import", "Publish exam protocols from a file.")
    take.add_argument("file", type=Path, metavar="FILE", help="JSON, or CSV in UTF-8; - is standard input")
    take.add_argument("--format", choices=PROTOCOL_FORMATS, help="default: by the name of the file")
    take.add_argument(
        "--by", default="operator", metavar="WHO", help="identifier of who imports (default: %(default)s)"
    )
    take.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    give = _command(actions, "export", "Write an exam protocol as JSON, or one or all of them as CSV.")
    give.add_argument("protocol", metavar="PROTOCOL", nargs="?", help="its identifier (default: all, as CSV)")
    give.add_argument("--format", choices=PROTOCOL_FORMATS, help="default: by the name of the output, else json")
    give.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    for one in (show, give):
        _add_language(one, "default: French, if there is one")
        one.add_argument(
            "--version", dest="protocol_version", metavar="VERSION",
            help="an older version (default: the one in force)",
        )  # fmt: skip


def _add_template(command: argparse.ArgumentParser) -> None:
    command.add_argument("template", metavar="TEMPLATE", help="its identifier, as list shows it")
    _add_language(command, "default: French, if there is one")
    _add_template_version(command, "an older version (default: the one in force)")


def _add_template_version(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--version", dest="template_version", metavar="VERSION", help=what)


def _add_language(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--language", choices=LANGUAGES, help=what)


def _add_words(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--language", choices=LANGUAGES, default="en", help="of the words for people (default: %(default)s)"
    )


def _add_figures(commands: _Commands) -> None:
    command = _command(
        commands, "figures", "Tell how long everything took, on every clock; exit 1 when there is no case."
    )
    _add_within(command, "30 days ago, up to now")
    command.add_argument("--site", action="append", default=[], metavar="SITE", help="of these hospitals only")
    command.add_argument(
        "--by", action="append", default=[], choices=FIGURES_BY, help="tell them apart; repeat for more"
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="write a table for a spreadsheet as well")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture as well: .png or .svg")
    _add_words(command)


def _add_morning_report(commands: _Commands) -> None:
    command = _command(
        commands, "morning-report", "Set a night against the best that was possible, and say why each report was late."
    )
    command.add_argument("--night", metavar="DAY", help="the evening's day (default: the last night)")
    _add_words(command)


def _add_monthly_report(commands: _Commands) -> None:
    command = _command(commands, "monthly-report", "Write a month's figures as a PDF; exit 1 when there is no case.")
    command.add_argument("--month", required=True, metavar="MONTH", help="like 2026-11")
    command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the PDF")
    command.add_argument("--with-people", action="store_true", help="with readers by name and who carried how much")
    _add_words(command)


def _add_billing(commands: _Commands) -> None:
    command = _command(
        commands, "billing", "Write a month's exams by hospital, act and provider; exit 1 when there is none."
    )
    command.add_argument("--month", required=True, metavar="MONTH", help="like 2026-11")
    command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the table (CSV)")


def _add_deliveries(commands: _Commands) -> None:
    command = _command(
        commands, "deliveries", "List reports that have not reached somebody, with why and when next; exit 1 if any."
    )
    command.add_argument("--case", metavar="CASE", help="every delivery of this case instead")
    change = command.add_mutually_exclusive_group()
    change.add_argument("--retry", metavar="DELIVERY", help="try this delivery at once")
    change.add_argument("--give-up", metavar="DELIVERY", help="try this delivery no more")
    command.add_argument("--by", metavar="NAME", help="who decides it")


def _add_authorise(commands: _Commands) -> None:
    command = _command(commands, "authorise", "Record that the patient lets one more physician have the reports.")
    command.add_argument("case", metavar="CASE")
    command.add_argument("--recipient", metavar="ID", required=True, help="the physician, such as their RPPS number")
    command.add_argument("--by", metavar="NAME", required=True, help="who asked the patient")
    command.add_argument("--kind", choices=RECIPIENTS, default=RECIPIENTS[0])
    command.add_argument("--channel", choices=REPORT_CHANNELS, default=REPORT_CHANNELS[0])
    command.add_argument("--address", metavar="ADDRESS", help="a mailbox, an AE title or an HL7 destination")
    command.add_argument("--revoke", action="store_true", help="the patient takes it back")
