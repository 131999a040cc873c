"""The errors that a person can fix.

The docstring of a class is its message template: `UnknownProject(project="XYZ", key="xyz")` fills in the facts. Code
that catches `UsherError` can show `str(error)` to a person unchanged.
"""

import inspect


class UsherError(Exception):
    """Usher cannot continue: {why}"""

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
    """unknown status {status}; known: {known}. To accept it, list it under [statuses.{key}]"""


class NotDeployed(BadMessage):
    """project {project} does not deploy {status}; add "{status}" to [projects.{project}] statuses"""


class UnknownServer(BadMessage):
    """unknown server {name}; known: {known}"""


class BadCommand(UsherError):
    """{why}"""


class Unreadable(UsherError):
    """not an Usher message: {why}"""


class BrokerError(UsherError):
    """{why}"""


class NotConfirmed(BrokerError):
    """the broker did not confirm {what}: {why}"""


class ServiceError(UsherError):
    """{why}"""
