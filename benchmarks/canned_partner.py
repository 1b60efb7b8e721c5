"""A partner that costs almost nothing: every event of every request is a success.

Run as a program it prints its port, and answers until it is ended: at once, or after as many
seconds as its argument says. What it answers has the shape of Kana's API: counted usage, and
amounts of 0 where it is asked for them.
"""

import functools
import json

from benchmarks.partner_process import serve

_COUNTED = {"recorded": True, "reason": None}
_SHOWN = {
    "current": {
        "periodStart": "2022-01-01T00:00:00Z",
        "periodEnd": "2099-01-01T00:00:00Z",
        "consumption": {"used": 0},
    }
}


@functools.cache
def _answer(counted: int, shown: int) -> bytes:
    values = [_COUNTED] * counted + [_SHOWN] * shown
    if len(values) == 1:
        name = "recordUsage" if counted else "showUsage"
        data: dict[str, object] = {name: values[0], "e0": values[0]}
    else:
        data = {f"e{index}": value for index, value in enumerate(values)}
    return json.dumps({"data": data}).encode()


def answer_to(request: bytes) -> bytes:
    """What Kana would answer to a request."""
    if b"TestCredentials" in request:
        return json.dumps({"data": {"e0": []}}).encode()
    counted, shown = request.count(b": recordUsage("), request.count(b": showUsage(")
    if not counted and not shown:
        counted, shown = b"recordUsage(" in request, b"showUsage(" in request
    return _answer(int(counted), int(shown))


if __name__ == "__main__":
    serve(answer_to)
