from __future__ import annotations

import itertools

import pytest

from destinations.segment.validation.formats import FORMATS

GOOD = {
    "email": ["a.b+c@example.com", "x@a-b.co", "X@EXAMPLE.COM"],
    "uri": [
        "https://u:p@host:80/p/a?q=1#f",
        "mailto:a@b",
        "urn:x:y",
        "http://[::1]:80/",
        "x:/",
        "http:///x",
        "http://x/%41/a%2fb",
    ],
    "uri-reference": ["", "a", "a/b", "/a", "//h/p", "?q", "#f", 'a"b'],
    "uri-template": ["http://x/{a}{?b,c*}", "{a:3}"],
    "url": [
        "http://example.com/a?b",
        "ftp://u:p@h.co:8080/x",
        "http://8.8.8.8",
        "http://a/b@example.com",
        "http://169.253.0.1",
        "http://169.255.0.1",
        "http://1.0.0.1",
        "http://223.0.0.254",
    ],
    "uuid": [
        "123e4567-e89b-12d3-a456-426614174000",
        "urn:uuid:123E4567-E89B-12D3-A456-426614174000",
    ],
    "date": ["2020-02-29", "0000-01-01", "2000-02-29"],
    "time": ["10:00:00", "23:59:60", "10:00:00.5+01:00", "10:00:00Z"],
    "date-time": ["2020-01-01T10:00:00Z", "2020-01-01 10:00:00", "2020-01-01t10:00:00.123z"],
    "duration": ["P1D", "P1W", "P1Y2M3DT4H5M6S", "PT1S"],
    "hostname": ["a.b", "a.", "x" * 63 + ".y"],
    "ipv4": ["1.2.3.4", "01.02.03.04"],
    "ipv6": ["::1", "::", "1:2:3:4:5:6:7:8", "1::8", "::1.2.3.4"],
    "json-pointer": ["", "/a/~0~1"],
    "json-pointer-uri-fragment": ["#", "#/a%20b"],
    "relative-json-pointer": ["0#", "1/a"],
    "regex": ["a+"],
    "byte": ["QQ==", "QUJD", "?\nQQ=="],
    "text": ["anything"],
    "password": ["anything"],
    "binary": ["anything"],
    "date-like": [
        "2020-01-01",
        "2022-02-23T22:28:55.111Z",
        "2023-02-29T00:00:00Z",
        "1663069260",
        "-1",
        "8640000000000",
        "20200101",
        "2020/1/1 10:00",
        "2020",
        "2020-02-30",
        "Mon Jan 5",
        "2020-01-01T10:00:00.123456",
        "2020 10",
        "20201301",
    ],
}
BAD = {
    "email": ["a@b", "a..b@example.com", ".a@b.co", "x@-a.com", "é@example.com", "a@b.co\n", ""],
    "uri": ["a/b", "//x", "a:", "http://a b", "http://%zz", "foo:bar#a#b", 'http://a"b', ""],
    "uri-reference": ["[x]", "a b"],
    "uri-template": ["{", "%zz", "a b"],
    "url": [
        "http://10.0.0.1/",
        "http://172.16.0.1",
        "http://192.168.1.1",
        "http://169.254.0.1",
        "http://127.0.0.1",
        "http://172.31.0.1",
        "http://0.0.0.1",
        "http://224.0.0.1",
        "http://8.8.8.255",
        "http://256.1.1.1",
        "http://8.256.8.8",
        "https://a_b.com",
        "http://x",
        "gopher://example.com",
        "http://example.com/a b",
        "http://1.2.3.0",
    ],
    "uuid": ["123e4567-e89b-12d3-a456-42661417400", "x"],
    "date": ["2019-02-29", "1900-02-29", "2020-13-01", "2020-1-1", "2020-00-10"],
    "time": ["24:00:00", "10:00", "10:60:00"],
    "date-time": ["2020-01-01", "2020-01-01T10:00:00T", "2020-01-01T25:00:00Z"],
    "duration": ["P", "PT", "P1DT", "p1d"],
    "hostname": ["-a", "a-.b", "a" * 64, ""],
    "ipv4": ["256.1.1.1", "1.2.3"],
    "ipv6": ["1::2::3", "fe80::1%eth0", "1:2:3", "::01.2.3.4"],
    "json-pointer": ["a", "/~"],
    "json-pointer-uri-fragment": ["/a", "#/~2"],
    "relative-json-pointer": ["01", "a"],
    "regex": ["(", "a{2,1}"],
    "byte": ["Q", "QQ="],
    "date-like": [
        "",
        "NaN",
        "Infinity",
        "8640000000001",
        "not a date",
        "2020-13-01Z",
        "+14155550100",
        "true",
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_text_has_the_format(name: str) -> None:
    """What ajv-formats takes for a format is one."""
    assert [text for text in GOOD[name] if not FORMATS[name].holds(text)] == []


@pytest.mark.parametrize("name", BAD)
def test_text_lacks_the_format(name: str) -> None:
    """What ajv-formats refuses is refused."""
    assert [text for text in BAD[name] if FORMATS[name].holds(text)] == []


@pytest.mark.parametrize(
    ("name", "number", "holds"),
    [
        ("int32", 2**31 - 1, True),
        ("int32", 2**31, False),
        ("int32", 1.5, False),
        ("int64", 2.0, True),
        ("int64", 0.5, False),
        ("float", 0.5, True),
        ("double", 0.5, True),
    ],
)
def test_formats_of_numbers(name: str, number: float, holds: bool) -> None:
    """Some formats say something about numbers, none of them about text."""
    assert FORMATS[name].of_numbers
    assert FORMATS[name].holds(number) is holds


@pytest.mark.parametrize("ipv4", [False, True])
def test_groups_of_ipv6(ipv4: bool) -> None:
    """Two colons stand for at least one of eight groups, and IPv4 for the last two."""
    for before, after in itertools.product(range(9), range(9)):
        groups = ["fe80"] * after + ["1.2.3.4"] * ipv4
        count = before + after + 2 * ipv4
        text = ":".join(["1"] * before) + "::" + ":".join(groups)
        assert FORMATS["ipv6"].holds(text) is (count <= 7), text
        whole = ":".join([*["1"] * before, *groups])
        assert FORMATS["ipv6"].holds(whole) is (count == 8), whole


def test_every_format_is_tested() -> None:
    """The tables above know every format."""
    of_text = {name for name, known in FORMATS.items() if not known.of_numbers}
    assert of_text == set(GOOD)


@pytest.mark.parametrize(
    ("date", "holds"),
    [
        ("2022-01-31", True),
        ("2022-04-30", True),
        ("2022-04-31", False),
        ("2022-12-31", True),
        ("2022-02-28", True),
        ("2022-02-29", False),
        ("2024-02-29", True),
        ("2022-02-30", False),
        ("2022-13-01", False),
        ("2022-00-01", False),
        ("2022-01-00", False),
    ],
)
@pytest.mark.parametrize("time", ["T23:59:59Z", "T00:00:00.1Z", "T10:20:30.123Z"])
def test_last_days_of_months(date: str, holds: bool, time: str) -> None:
    """The usual form of a time knows the days of each month, as the format does in every form."""
    assert FORMATS["date-time"].holds(date + time) is holds
    assert FORMATS["date-time"].holds(date + time.replace("Z", "+00:00")) is holds
