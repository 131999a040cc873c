"""`usher up`: the broker and the three services as child processes, one log, one screen."""

from usher.up.kept import Program
from usher.up.services import Services, programs, running_services
from usher.up.whole import FOLDER, run

__all__ = ["FOLDER", "Program", "Services", "programs", "run", "running_services"]
