"""What people say of images, told to their case: the radiographer's button.

For: the engine's methods about the completeness of images. Not for: what evidence comes to
(`oncall.case.completeness`), or what the archive states (`oncall.engine.relay`).
"""

from dataclasses import replace
from datetime import datetime

from oncall.case import completeness
from oncall.case.completeness import Said
from oncall.case.event import Actor, CaseId
from oncall.engine import rematch
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft


class ImageCompleteness(Deciding):
    """The engine's methods about the completeness of images."""

    def say_images_complete(
        self, case_id: CaseId, count: int | None, now: datetime, *, actor: Actor, is_insisted: bool = False
    ) -> Said:
        """The radiographer says that all images of the exam were sent; return what became of that word.

        It completes the images at once when as many are here as were said and none of the scanner's lists misses one;
        without a number, as soon as no more come. It is kept in any case, and never moves the hour.

        Parameters
        ----------
        count : int or None
            How many images the console shows, of all series; None when nobody counted.
        actor : Actor
            Who says so.
        is_insisted : bool
            Said again by somebody who was told that some are missing: it completes them nevertheless.

        Returns
        -------
        Said
            With every doubt, to be shown to whoever said it.

        Raises
        ------
        Refused
            If there is no such case, or none of its images is here.
        foundation.errors.PeerError
            If the number is no number of images.
        """
        gone_on = rematch.goes_on(self._draft(now), case_id)

        def decide(draft: Draft) -> None:
            case = draft.required(gone_on)
            context = replace(draft.context, actor=actor)
            policy = draft.rules.intake
            facts = completeness.hear_radiographer(case, policy, context, count, is_insisted=is_insisted)
            events = draft.record(gone_on, *facts)
            self._follow(draft, gone_on, events)

        self._commit(now, decide)
        return completeness.said(self.case(gone_on), self._draft(now).rules.intake, count, now)
