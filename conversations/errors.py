"""Errors that say what to do next."""

from __future__ import annotations


class FoyerError(Exception):
    """Base of all errors of the product. `code` is the one that protocols show."""

    code = "error"


class StoreUnavailable(FoyerError):
    """The database cannot take this now (locked, full, gone). Nothing was stored; try again."""

    code = "unavailable"


class IdReused(FoyerError):
    """The client used one id for two different messages. The first one stands."""

    code = "id_reused"


class NotOffered(FoyerError):
    """The choice was not offered in the message that the customer names."""

    code = "not_offered"


class Conflict(FoyerError):
    """Somebody else changed it first. `details` go to the caller."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class NotFound(FoyerError):
    """There is nothing under this id, or not for this caller."""

    code = "not_found"


class SendError(FoyerError):
    """A connector could not send. The kinds below say what the delivery worker does about it."""


class RetryAfter(SendError):
    """The vendor asks to wait `seconds` before this message is tried again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"retry after {seconds} s")
        self.seconds = seconds


class Temporary(SendError):
    """It was certainly not sent, and may work later."""


class Ambiguous(SendError):
    """It may have been sent: nobody answered. Never repeated blindly."""


class Rejected(SendError):
    """The vendor will never take this message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WindowClosed(Rejected):
    """The vendor's window for free-form messages is closed."""


class OptedOut(Rejected):
    """The customer asked not to be written to."""


class BadCredentials(SendError):
    """The account's credentials are refused: nothing of this account goes out until they are mended."""


class AssistantError(FoyerError):
    """The assistant gave no usable answer to a turn; the turn may be asked again under the same id."""

    code = "assistant_unavailable"


class AssistantRefused(AssistantError):
    """Asking again cannot help: the request itself was refused."""


class AssistantUnusable(AssistantError):
    """The assistant, or what keeps its answer, broke in a way that nobody foresaw."""

    code = "unusable_answer"


class LookupUnavailable(AssistantError):
    """A custom action could not be reached or failed, so the turn has no answer."""

    code = "lookup_failed"

    def __init__(
        self, message: str, lookups: tuple[dict[str, object], ...], effects: tuple[dict[str, object], ...]
    ):
        super().__init__(message)
        self.lookups = lookups
        self.effects = effects
