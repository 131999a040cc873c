"""`usher up`: the broker and the three services as child processes, with one log and one screen."""

from usher.up.run import FOLDER, run
from usher.up.services import Services, programs, running_services
from usher.up.supervisor import Program

__all__ = ["FOLDER", "Program", "Services", "programs", "run", "running_services"]
