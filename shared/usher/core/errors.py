"""Everything that can go wrong and that a person can mend, as one tree.

A class's docstring is its message: `UnknownProject(project="XYZ", key="xyz")` says what the docstring says, with the
facts filled in. Whoever catches `UsherError` can show `str(error)` to a person as it is.
"""

import inspect


class UsherError(Exception):
    """Usher cannot go on: {why}"""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(inspect.cleandoc(type(self).__doc__ or "").format(**facts))


class SettingsError(UsherError):
    """{why}"""


class BadMessage(UsherError):
    """{why}"""


class BadIssue(BadMessage):
    """{text} is not an issue; it should look like ABC-123: a project in capitals, a dash, a number"""


class UnknownProject(BadMessage):
    """unknown project {project}; add [projects.{key}]"""


class UnknownStatus(BadMessage):
    """unknown status {status}; known: {known}. To add it: [statuses.{key}]"""


class NotDeployed(BadMessage):
    """project {project} does not deploy {status}; add "{status}" to [projects.{project}] statuses"""


class UnknownServer(BadMessage):
    """unknown server {name}; known: {known}"""


class BadCommand(UsherError):
    """{why}"""


class Unreadable(UsherError):
    """not a message of Usher's: {why}"""


class BrokerError(UsherError):
    """{why}"""


class NotConfirmed(BrokerError):
    """the broker did not confirm {what}: {why}"""


class ServiceError(UsherError):
    """{why}"""
