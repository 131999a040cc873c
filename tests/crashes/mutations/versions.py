"""Bugs of a mixed fleet: how an older reader halts and resumes, and what it leaves to newer ones."""

from typing import Any

from crashes.loop import OWNER
from crashes.mutations.planting import Method, instead, mutation, put
from usher.broker.places import Entry
from usher.broker.publisher import Publisher
from usher.broker.reading import Fold
from usher.core.checkpoints import Checkpoint, decode_checkpoint, is_checkpoint


@mutation("11: an older deploys deploys during a hold, because it skips the hold as unreadable")
def reader_that_does_not_halt() -> None:
    def halts(self: Fold, entry: Entry) -> bool:
        return False

    Fold._halts = halts  # type: ignore[method-assign]


@mutation("11: an older successes writes a checkpoint without the hold, and an older deploys resumes there")
def older_checkpoint_writer() -> None:
    def make(real: Method) -> Method:
        def halts(self: Fold, entry: Entry) -> bool:
            return not str(OWNER.get()).startswith("successes") and bool(real(self, entry))

        return halts

    instead(Fold, "_halts", make)


@mutation("11: processes resume at a checkpoint with a hold that they do not understand")
def checkpoint_without_its_number() -> None:
    def make(real: Method) -> Method:
        async def checkpoint(self: Publisher, body: bytes, needs: int) -> None:
            await real(self, body, 1)

        return checkpoint

    instead(Publisher, "checkpoint", make)


@mutation("11: an older deploys resumes at a checkpoint that only newer ones understand")
def going_on_at_any_checkpoint() -> None:
    def make(real: Method) -> Method:
        def halts(self: Fold, entry: Entry) -> bool:
            return not is_checkpoint(entry.body) and bool(real(self, entry))

        return halts

    def checkpoint(self: Entry) -> Checkpoint | None:
        return decode_checkpoint(self.body) if is_checkpoint(self.body) else None

    instead(Fold, "_halts", make)
    Entry.checkpoint = checkpoint  # type: ignore[method-assign]


@mutation("2: after a downgrade, the older processes stay halted at a hold that is over")
def no_checkpoint_when_less_is_needed() -> None:
    def compare(self: Fold, *_: Any) -> None:
        return None

    put(Fold, "_compare", compare)
