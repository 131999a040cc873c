"""Names of statuses: how they are compared, and which status a name probably means."""

import re
import unicodedata
from collections.abc import Collection

_STATUS_KEY = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


def fold(name: str) -> str:
    """A name as it is compared. Names that look the same are the same, in any case and with any white space.

    This is Unicode's NFKC_Casefold, with each run of white space as one space and none at the ends.
    """
    shown = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", shown.casefold()).split())


def likely(names: Collection[str], statuses: Collection[str]) -> str:
    """The status, by its key in the settings, that the tracker's names or ids probably mean.

    It is one of `statuses` if the names contain exactly that one as a whole word: "Ready for Beta" is likely beta.
    Otherwise it is a new one: "Ready for QA" becomes ready-for-qa.
    """
    keys = {status.replace("_", "-"): status for status in statuses}
    slugs = [_slug(name) for name in names]
    for slug in slugs:
        if slug in keys:
            return keys[slug]
    contained = {status for key, status in keys.items() for slug in slugs if f"-{key}-" in f"-{slug}-"}
    if len(contained) == 1:
        return contained.pop()
    candidates = [slug[:40].strip("-") for slug in (*slugs[:1], f"status-{slugs[-1]}")] if slugs else []
    return next((key for key in candidates if _STATUS_KEY.fullmatch(key)), "status")


def _slug(name: str) -> str:
    """A name with only lower-case ASCII letters, digits and single dashes."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", fold(name)) if not unicodedata.combining(c))
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")
