"""Parse dates as ``Date.parse`` does: ISO 8601, and V8's other formats.

ECMA-262 (Date Time String Format) specifies only ISO 8601. The other formats follow V8, which runs
Segment's destinations. Local time counts as UTC.
"""

from __future__ import annotations

from typing import Final

from destinations.segment.javascript.date_parts import Day, Time, Zone
from destinations.segment.javascript.date_tokens import Kind, Token, scan

__all__ = ["MAX_DATE", "parse_date"]

MAX_DATE: Final = 8.64e15
"""JavaScript's largest and smallest date, in milliseconds from 1970."""


def parse_date(text: str) -> int | None:
    """Parse a date as milliseconds since 1970 UTC; None if ``text`` is not a date."""
    return _Parser(scan(text)).parse()


class _InvalidDateError(Exception):
    """The text is not a date."""


class _Parser:
    """Reads tokens into day, time and zone.

    The ISO format is tried first. Where it does not fit, V8's other rules continue from there and
    keep the parts read so far. Only a time after ``T`` must be valid ISO.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._day = Day()
        self._time = Time()
        self._zone = Zone()
        self._has_number = False

    def parse(self) -> int | None:
        """Return the date of all tokens, in milliseconds since 1970; None if it is out of range."""
        try:
            token = self._iso()
            self._has_number = bool(self._day.numbers)
            while token.kind is not Kind.END:
                self._legacy(token)
                token = self._next()
        except _InvalidDateError:
            return None
        day, time = self._day.milliseconds(), self._time.milliseconds()
        if day is None or time is None:
            return None
        moment = day + time - self._zone.milliseconds()
        return moment if abs(moment) <= MAX_DATE else None

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _skip(self, symbol: str) -> bool:
        if self._peek().is_symbol(symbol):
            self._next()
            return True
        return False

    def _expect(self, condition: object) -> None:
        if not condition:
            raise _InvalidDateError

    # The ISO format

    def _iso(self) -> Token:
        """Read an ISO date; return the first token that is not part of it."""
        if self._peek().is_symbol("+-"):
            sign = self._next()
            if not self._peek().is_number(6):
                return sign
            year = self._next().value
            if sign.text == "-" and year == 0:
                return sign
            self._day.add(-year if sign.text == "-" else year)
        elif self._peek().is_number(4):
            self._day.add(self._next().value)
        else:
            return self._next()
        for largest in (12, 31):
            if not self._skip("-"):
                break
            if not (self._peek().is_number(2) and 1 <= self._peek().value <= largest):
                return self._next()
            self._day.add(self._next().value)
        if self._peek().kind is Kind.TIME_SEPARATOR:
            self._next()
            self._iso_time()
            self._iso_zone()
            self._expect(self._peek().kind is Kind.END)
        elif self._peek().kind is not Kind.END:
            return self._next()
        self._day.iso = True
        return self._next()

    def _iso_time(self) -> None:
        hour = self._two_digits(24)
        full = hour == 24  # midnight at the end of a day: all other parts must be zero
        self._time.add(hour)
        self._expect(self._skip(":"))
        self._time.add(self._two_digits(0 if full else 59))
        if self._skip(":"):
            self._time.add(self._two_digits(0 if full else 59))
            if self._skip("."):
                fraction = self._next()
                self._expect(fraction.kind is Kind.NUMBER and not (full and fraction.value))
                self._time.add(_milliseconds(fraction))

    def _iso_zone(self) -> None:
        if self._peek().is_utc:
            self._next()
            self._zone.set(0)
        elif self._peek().is_symbol("+-"):
            self._zone.sign = 1 if self._next().text == "+" else -1
            if self._peek().is_number(4):
                self._zone.hour, self._zone.minute = divmod(self._next().value, 100)
                self._expect(self._zone.hour < 24 and self._zone.minute < 60)
            else:
                self._zone.hour = self._two_digits(23)
                self._expect(self._skip(":"))
                self._zone.minute = self._two_digits(59)

    def _two_digits(self, largest: int) -> int:
        token = self._next()
        self._expect(token.is_number(2) and token.value <= largest)
        return token.value

    # The other formats

    def _legacy(self, token: Token) -> None:
        """Read one token, and further ones that belong to it, in any other format."""
        if token.kind is Kind.NUMBER:
            self._has_number = True
            self._legacy_number(token.value)
        elif token.kind in _WORD_KINDS:
            self._legacy_word(token)
        elif token.is_symbol("+-") and (self._zone.is_utc or self._time.numbers):
            self._legacy_offset(1 if token.text == "+" else -1)
        elif token.is_symbol("+-)"):
            self._expect(not self._has_number)

    def _legacy_number(self, number: int) -> None:
        if self._skip(":"):
            if self._skip(":"):
                self._expect(not self._time.numbers)
                self._time.numbers = [number, 0]
            else:
                self._expect(self._time.add(number))
                self._skip(".")
        elif self._skip(".") and self._time.expects(number):
            self._time.add(number)
            self._expect(self._peek().kind is Kind.NUMBER)
            self._time.add_last(_milliseconds(self._next()))
        elif self._zone.expects(number):
            self._zone.minute = number
        elif self._time.expects(number):
            self._time.add_last(number)
            after = self._peek()
            self._expect(
                after.kind in {Kind.END, Kind.SPACE} or after.is_utc or after.is_symbol("+-")
            )
        else:
            self._expect(self._day.add(number))
            self._skip("-")

    def _legacy_word(self, token: Token) -> None:
        if token.kind is Kind.HALF_DAY and self._time.numbers:
            self._time.half_day = token.value
        elif token.kind is Kind.MONTH:
            self._day.named_month = token.value
            self._skip("-")
        elif token.kind is Kind.ZONE and self._has_number:
            self._zone.set(token.value)
        else:
            # Words before the first number are ignored, but a space must follow them.
            self._expect(not self._has_number and self._peek().kind is not Kind.NUMBER)

    def _legacy_offset(self, sign: int) -> None:
        self._zone.sign = sign
        number, length = 0, 0
        if self._peek().kind is Kind.NUMBER:
            token = self._next()
            number, length = token.value, token.length
        self._has_number = True
        if self._peek().is_symbol(":"):
            self._zone.hour, self._zone.minute = number, None
        elif length in {1, 2}:
            self._zone.hour, self._zone.minute = number, 0
        elif length in {3, 4}:
            self._zone.hour, self._zone.minute = divmod(number, 100)
        else:
            raise _InvalidDateError


_WORD_KINDS: Final = frozenset(
    {Kind.MONTH, Kind.HALF_DAY, Kind.ZONE, Kind.TIME_SEPARATOR, Kind.WORD}
)


def _milliseconds(fraction: Token) -> int:
    """Return the first three digits of a fraction of a second."""
    digits = f"{fraction.value:0{min(fraction.length, 9)}}"
    return int(digits[:3].ljust(3, "0"))
