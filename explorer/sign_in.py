"""Who may see the page with ``--auth``: names and passwords from a file, and how many wrong ones are heard.

Wrong tries are counted for an address with a name (somebody guesses a password), for an address with any names, and for a name from
any addresses (many machines guess together). A count ends :data:`WAIT` seconds after its first wrong try; until then, at its limit, tries
are refused unheard. Who is signed in stays so.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from dmm.files import lines_in, read_text
from explorer.request_guard import CLIENT

#: The limits, a phrase each; SECURITY.md shows them in its table.
TRIES = {
    "tries_of_a_pair": (5, "wrong passwords from one address for one name in 10 minutes"),
    "tries_of_an_address": (50, "wrong passwords from one address, for any names, in 10 minutes"),
    "tries_for_a_name": (100, "wrong passwords for one name, from any addresses, in 10 minutes"),
    "tries_kept": (10_000, "counts of wrong passwords that are kept, of 32 bytes each; the oldest is given up first"),
}
WAIT = 600.0  # seconds
RULE = (
    f"Wrong passwords are counted: after {TRIES['tries_of_a_pair'][0]} for one name, this form does not answer for "
    f"{WAIT / 60:.0f} minutes after the first of them."
)


def read_passwords(path: str | os.PathLike | None) -> list[tuple[str, str]]:
    """Name and password of each who may see the page, from a text file with ``name:password`` a line; none without a file.

    Raises:
        ValueError: a file that cannot be read, holds no line, a line that is no such pair, or a name twice.
    """
    if path is None:
        return []
    try:
        rows = [line.strip().partition(":") for line in lines_in(read_text(path)) if line.strip()]
    except OSError as error:
        raise ValueError(f"--auth: {path}: expected a text file ({error.strerror})") from error
    pairs = [(name.strip(), password) for name, _, password in rows]
    for number, (name, password) in enumerate(pairs, 1):
        if not name or not password:
            raise ValueError(f"--auth: {path}, entry {number}: expected name:password")  # what was found may be a password
        if name in dict(pairs[: number - 1]):
            raise ValueError(f"--auth: {path}, entry {number}: this name stands here a second time; which password is meant?")
    if not pairs:
        raise ValueError(f"--auth: {path}: expected name:password a line, found no line")
    return pairs


class SignIn:
    """Whether a name and a password fit, as Gradio's ``auth`` asks it; wrong tries are counted (:data:`TRIES`).

    Args:
        people: name and password of each who may see the page.
        clock: seconds that go forward only.
    """

    def __init__(self, people: Sequence[tuple[str, str]], clock: Callable[[], float] = time.monotonic):
        self._passwords = dict(people)
        self._clock = clock
        self._wrong: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # digest -> wrong tries, when their count ends; oldest first

    def __call__(self, name: str, password: str) -> bool:
        """Do they fit?

        Raises:
            starlette.exceptions.HTTPException: 429, there were too many wrong tries.
        """
        counts = _counts(CLIENT.get(), name)
        self._forget()
        ends = [end for key, most in counts.items() for wrong, end in [self._wrong.get(key, (0, 0.0))] if wrong >= most]
        if ends:
            raise _too_many(max(ends) - self._clock())
        known = self._passwords.get(name)
        fits = hmac.compare_digest(_bytes(password), _bytes(password if known is None else known)) and known is not None
        if fits:
            self._wrong.pop(next(iter(counts)), None)  # the pair's alone: one's own name must not buy tries for another
        else:
            for key in counts:
                wrong, end = self._wrong.get(key, (0, self._clock() + WAIT))
                self._wrong[key] = (wrong + 1, end)
        return fits

    def _forget(self) -> None:
        """Give up the counts that have ended, and the oldest beyond the limit."""
        while self._wrong:
            oldest = next(iter(self._wrong))
            if self._wrong[oldest][1] > self._clock() and len(self._wrong) <= TRIES["tries_kept"][0] - 3:
                break
            del self._wrong[oldest]


def _counts(address: str, name: str) -> dict[bytes, int]:
    """The counts that a try belongs to, the pair's first, and the limit of each."""
    network = _network(address)
    of = {"tries_of_a_pair": (network, name), "tries_of_an_address": (network,), "tries_for_a_name": ("", name)}
    return {hashlib.sha256(_bytes("\0".join((kind, *parts)))).digest(): TRIES[kind][0] for kind, parts in of.items()}


def _network(address: str) -> str:
    """What one client has for itself: an address of IPv4, 64 bits of one of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _too_many(seconds: float) -> Exception:
    from starlette.exceptions import HTTPException  # comes with Gradio, which is slow to import

    wait = max(math.ceil(seconds), 1)
    return HTTPException(429, f"Too many wrong passwords. Wait {math.ceil(wait / 60)} min, then try again.", {"Retry-After": str(wait)})
