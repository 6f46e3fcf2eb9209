"""Whatever comes in whatever order, again, or is replayed: one effect for a control id, and always the same answer."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foundation.database import METADATA, Database, sqlite_url
from foundation.errors import Unavailable
from pacs.worklist.hl7 import dead_letters, received
from pacs.worklist.hl7.acknowledgement import Answers
from pacs.worklist.hl7.dead_letters import NotReplayable
from pacs.worklist.hl7.inbox import take_all
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, ReceivedMessage, Rejected
from pacs.worklist.hl7.schema import hl7_received
from tests.harness.hl7_messages import NOON, RULES, Recorder, arrival, effects_of, make_effects, message, segment

WRONG = FieldError(segment="PID", code=ErrorCode.DATA_TYPE, text="wrong")
VERDICTS: dict[str, Outcome | Exception] = {
    "AA": Accepted(),
    "AE": Rejected(code="AE", errors=(WRONG,)),
    "parked": Parked(reason="parked", errors=(WRONG,)),
    "defect": ValueError("defect"),
    "away": Unavailable("away"),
}
CONTROL_IDS = st.sampled_from("AB")
BODIES = st.sampled_from(("PID|1\r", "PID|2\r"))


class Hospital(RuleBasedStateMachine):
    """A sender, a handler that decides as drawn, and a human; beside them what must be true."""

    def __init__(self) -> None:
        super().__init__()
        self._place = tempfile.TemporaryDirectory()
        self._database = Database(sqlite_url(Path(self._place.name) / "index.sqlite"))
        METADATA.create_all(self._database.engine, tables=[hl7_received])
        make_effects(self._database)
        self._verdict: Outcome | Exception = Accepted()
        self._handler = Recorder(self._decide)
        self._taken: dict[str, bytes] = {}
        self._answered: dict[bytes, Answers] = {}

    def teardown(self) -> None:
        """Close the database."""
        self._database.close()
        self._place.cleanup()

    def _decide(self, _: ReceivedMessage) -> Outcome:
        if isinstance(self._verdict, Exception):
            raise self._verdict
        return self._verdict

    @rule(
        sent=st.lists(st.tuples(CONTROL_IDS, BODIES), min_size=1, max_size=4), verdict=st.sampled_from(list(VERDICTS))
    )
    def send(self, sent: list[tuple[str, str]], verdict: str) -> None:
        """Send messages that share a transaction."""
        self._verdict = VERDICTS[verdict]
        contents = [message(control_id, body=body) for control_id, body in sent]
        with self._database.write(durable=True) as connection:
            answers = take_all(connection, [arrival(content) for content in contents], self._handler, NOON)
        for (control_id, _), content, answer in zip(sent, contents, answers, strict=True):
            code = segment(answer.application, "MSA")[1]
            if content in self._answered:
                assert answer == self._answered[content], "the same bytes are answered the same way"
                continue
            if self._taken.get(control_id, content) != content:
                assert code == "AR", "the control id is another message's"
            elif verdict == "away":
                assert code == "AR"
                continue
            else:
                assert code == ("AA" if verdict == "AA" else "AE")
            if code == "AA":
                self._taken[control_id] = content
            self._answered[content] = answer

    @rule(verdict=st.sampled_from(list(VERDICTS)), position=st.integers(min_value=0, max_value=3))
    def replay(self, verdict: str, position: int) -> None:
        """Have one of the dead letters replayed."""
        self._verdict = VERDICTS[verdict]
        with self._database.read() as connection:
            dead = received.dead(connection)
        if not dead:
            return
        chosen = dead[position % len(dead)]
        try:
            with self._database.write(durable=True) as connection:
                outcome: Any = dead_letters.replay(
                    connection, chosen.message_id, self._handler, RULES, processing_id="P", now=NOON, by="anne"
                )
        except NotReplayable:
            assert chosen.control_id in self._taken
            return
        except Unavailable:
            return
        if isinstance(outcome, Accepted):
            assert chosen.control_id not in self._taken
            self._taken[chosen.control_id] = chosen.content
            with self._database.read() as connection:
                self._answered[chosen.content] = dead_letters.show(connection, chosen.message_id).answers

    @invariant()
    def one_effect_for_a_control_id(self) -> None:
        """What had an effect is what was accepted, once."""
        assert effects_of(self._database) == {arrival(content).message_id for content in self._taken.values()}


TestHospital = Hospital.TestCase
TestHospital.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
