"""Errors on the wire: a status code for everybody, the error's name and sentence for our own client.

``{"error": "CaseTaken", "detail": "Ada is working on this case; ..."}``
"""

from __future__ import annotations

from typing import Any

from clopa_annotator import errors
from clopa_annotator.errors import ClopaError, EngineError, InputError


class TooLarge(InputError):
    """A message is larger than the engine accepts (status 413)."""


_STATUS: dict[type[ClopaError], int] = {
    TooLarge: 413,
    errors.InputError: 400,
    errors.SessionError: 409,
    errors.UnknownCase: 404,
    errors.ConfirmationConflict: 409,
    errors.StorageFull: 507,
    errors.ReadOnlyCampaign: 507,
    errors.CorruptRecord: 500,
    errors.CacheError: 409,
    errors.ModelError: 503,
    errors.EpisodeError: 409,
    errors.UnknownVersion: 404,
    errors.RegistryError: 409,
    errors.WrongToken: 401,
    errors.VersionMismatch: 426,
    errors.EngineFull: 503,
    errors.SessionExpired: 410,
    errors.CaseTaken: 423,
    errors.NotPermitted: 403,
    errors.EngineUnreachable: 503,
}


def status_of(error: ClopaError) -> int:
    """HTTP status of an error: that of its nearest listed ancestor, else 500."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500


def fault_body(error: ClopaError) -> dict[str, str]:
    """What travels for an error."""
    return {"error": type(error).__name__, "detail": str(error)}


def error_from(status: int, body: Any) -> ClopaError:
    """The error that an answer stands for; a name that this client does not know becomes `EngineError`."""
    row = body if isinstance(body, dict) else {}
    detail = row.get("detail")
    text = detail if isinstance(detail, str) else f"The engine answered with status {status}."
    if status == 413:
        return TooLarge(text)
    kind = getattr(errors, str(row.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, ClopaError):
        return kind(text)
    known = {401: errors.WrongToken, 410: errors.SessionExpired, 503: errors.EngineFull, 400: InputError}
    return known.get(status, EngineError)(text)
