"""The tunnel's protocol, written from doc/protocol.md alone: the numbers in comments are its sections.

Nothing in here reads a clock, draws a random number or opens a socket by itself: who uses it passes
now_ms() and draw(n) (n random bytes), and carries the bytes.
"""


class Failure(Exception):
    """What ends a handshake or a link: the server falls silent (9), the client closes."""


class Violation(Exception):
    """What ends a session, with END's code 1 (8)."""
