"""The filters, by what the reference's liquidjs gives for each."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.liquid import LiquidError, compile_liquid_template

DATA: dict[str, Any] = {
    "list": [1, "two", None, 3.0, [4]],
    "products": [{"n": "A", "p": 1}, {"n": "B", "p": 2}, {"p": None}],
    "object": {"b": 1.0, "1": [None]},
    "none": None,
    "no": False,
    "smile": "a😀b",
    "big": 1e21,
}
CASES = {
    "numbers": [
        ("'-7.25' | abs", "7.25"),
        ("3 | at_least: 5", "5"),
        ("3 | at_most: 5", "3"),
        ("1.2 | ceil", "2"),
        ("-1.2 | floor", "-2"),
        ("9.99 | divided_by: 3", "3.33"),
        ("7 | divided_by: 2", "3.5"),
        ("7 | divided_by: 2, true", "3"),
        ("1 | divided_by: 0", "Infinity"),
        ("-1 | divided_by: 0", "-Infinity"),
        ("0 | divided_by: 0", "NaN"),
        ("0.1 | plus: 0.2", "0.30000000000000004"),
        ("'3' | plus: '4'", "7"),
        ("'x' | plus: 1", "1"),
        ("5 | minus: 1.5", "3.5"),
        ("none | times: 3", "0"),
        ("list | plus: 1", "1"),
        ("-7 | modulo: 3", "2"),
        ("1 | modulo: 0", "NaN"),
        ("2.5 | round", "3"),
        ("-2.5 | round", "-3"),
        ("1.005 | round: 2", "1.01"),
        ("1234 | round: -2", "1200"),
        ("big | round", "1e+21"),
        ("'12' | to_integer", "12"),
        ("'x' | to_integer", "NaN"),
        ("none | to_integer", "0"),
    ],
    "text": [
        ("'a' | append: 1.0", "a1"),
        ("'a' | prepend: none", "a"),
        ("'hELLO wORLD' | capitalize", "Hello world"),
        ("'A' | downcase | upcase", "A"),
        ("' a ' | strip | size", "1"),
        ("'xxaxx' | lstrip: 'x'", "axx"),
        ("'xxaxx' | rstrip: 'x'", "xxa"),
        ("'a b  c' | squish", "a b c"),
        ("'banana' | replace: 'a', 'o'", "bonono"),
        ("'abc' | replace: '', '-'", "a-b-c"),
        ("'banana' | replace_first: 'a', '$&'", "b$&nana"),
        ("'banana' | replace_last: 'a', 'o'", "banano"),
        ("'banana' | replace_last: 'x', 'o'", "banana"),
        ("'banana' | remove: 'a'", "bnn"),
        ("'banana' | remove_first: 'a'", "bnana"),
        ("'banana' | remove_last: 'a'", "banan"),
        ("'a,b,,c,,' | split: ',' | json", '["a","b","","c"]'),
        ("'abc' | split: '' | join", "a b c"),
        ("'' | split: ',' | size", "0"),
        ("'abcdef' | truncate: 5", "ab..."),
        ("'abcdef' | truncate: 5, ''", "abcde"),
        ("'abc' | truncate: 5", "abc"),
        ("'a b c d' | truncatewords: 2", "a b..."),
        ("'a b' | truncatewords: 0, '!'", "a!"),
        ("'a b  c' | number_of_words", "3"),
        ("'你好 world' | number_of_words: 'cjk'", "3"),
        ("'  ' | number_of_words", "0"),
        ("'a  b' | normalize_whitespace", "a b"),
    ],
    "lists": [
        ("list | join: '-'", "1-two--3-4"),
        ("list | first", "1"),
        ("list | last", "4"),
        ("'abc' | first", "a"),
        ("5 | first", ""),
        ("list | size", "5"),
        ("smile | size", "4"),
        ("5 | size", "0"),
        ("object | size", "0"),
        ("'abcdef' | slice: 1", "b"),
        ("'abcdef' | slice: -3, 2", "de"),
        ("'abc' | slice: -5, 2", ""),
        ("smile | slice: 1, 1", "😀"),
        ("list | slice: 1, 2 | json", '["two",null]'),
        ("none | slice: 1 | json", "[]"),
        ("products | sum: 'p'", "3"),
        ("'1,2,x' | split: ',' | sum", "3"),
        ("products | where: 'n', 'B' | json", '[{"n":"B","p":2}]'),
        ("products | where: 'n' | size", "2"),
        ("list | compact | json", '[1,"two",3,[4]]'),
        ("list | push: 5 | unshift: 0 | json", '[0,1,"two",null,3,[4],5]'),
        ("list | pop | shift | json", '["two",null,3]'),
        ("'' | default: 'd'", "d"),
        ("none | default: 'd'", "d"),
        ("0 | default: 'd'", "0"),
        ("no | default: 'd'", "d"),
        ("no | default: 'd', allow_false: true", "false"),
        ("object | json", '{"1":[null],"b":1}'),
        ("object | json: 1", '{\n "1": [\n  null\n ],\n "b": 1\n}'),
        ("nope | json", ""),
        ("'x' | sample: 1", "x"),
        ("list | sample: 0 | json", "[]"),
        ("'a' | raw", "a"),
    ],
    "dates": [
        ("'2022-02-03T04:05:06.789Z' | date: '%Y-%m-%d %H:%M:%S.%L'", "2022-02-03 04:05:06.789"),
        (
            "'2022-02-03T04:05:06Z' | date: '%a %A %b %B %-d %e %j %y'",
            "Thu Thursday Feb February 3  3 034 22",
        ),
        ("'2022-02-03T14:05:06Z' | date: '%I %l %k %p %P %s'", "02  2 14 PM pm 1643897106"),
        (
            "'2022-02-03T04:05:06Z' | date: '%u %w %U %W %C %q %z %:z %Z'",
            "4 4 05 05 20 rd +0000 +00:00 UTC",
        ),
        ("'2022-02-03T04:05:06Z' | date: '%c|%x|%X'", "2/3/2022, 4:05:06 AM|2/3/2022|4:05:06 AM"),
        (
            "'2022-02-03' | date: '%^a %#p %_m %05d %10Y %N %3N %% %t%n%Q'",
            "THU am  2 00003 0000002022 000000000 000 % \t\n%Q",
        ),
        ("'2022-02-03' | date", "Thursday, February 3, 2022 at 12:00 am +0000"),
        ("0 | date: '%Y-%m-%d'", "1970-01-01"),
        ("'1645655335' | date: '%F %s'", "%F 1645655335"),
        ("1645655335111 | date: '%Y-%m-%d'", "54118-09-28"),
        ("'0000-01-01' | date: '%Y'", "0000"),
        ("'-000001-01-01' | date: '%Y'", "-001"),
        ("'2022-02-03T04:05:06Z' | date: '%H:%M %z %Z', 60", "03:05 -0100 -0100"),
        (
            "'2022-02-03T04:05:06Z' | date: '%H:%M %z %Z', 'Europe/Amsterdam'",
            "05:05 +0100 Europe/Amsterdam",
        ),
        ("'not a date' | date: '%Y'", "not a date"),
        ("none | date: '%Y'", ""),
        ("object | date: '%Y'", "[object Object]"),
        ("true | date: '%s'", "0"),
        ("'2022-02-03' | date_to_xmlschema", "2022-02-03T00:00:00+00:00"),
        ("'2022-02-03' | date_to_rfc822", "Thu, 03 Feb 2022 00:00:00 +0000"),
        ("'2022-02-03' | date_to_string", "03 Feb 2022"),
        ("'2022-02-11' | date_to_string: 'ordinal'", "11th Feb 2022"),
        ("'2022-02-03' | date_to_long_string: 'ordinal', 'US'", "February 3rd, 2022"),
        ("'now' | date: '%Y' | size", "4"),
    ],
    "escapes": [
        ('"<b>&\'" | escape', "&lt;b&gt;&amp;&#39;"),
        ("'&lt;b>' | escape_once", "&lt;b&gt;"),
        ("'&lt;' | unescape", "&lt;"),
        ("'<p>a<!-- x --><script>y</script><style>z</style>b</p>c<' | strip_html", "abc<"),
        ("'a b&c=é' | url_encode", "a+b%26c%3D%C3%A9"),
        ("'a+b%26%C3%A9' | url_decode", "a b&é"),
        ('"a b!\'()*~" | cgi_escape', "a+b%21%27%28%29%2A~"),
        ("'http://x/a b?[q]' | uri_escape", "http://x/a%20b?[q]"),
        ("'Héllo, World!' | slugify", "héllo-world"),
        ("'Héllo, Wørld!' | slugify: 'latin'", "hello-world"),
        ("'Héllo, World!' | slugify: 'ascii'", "h-llo-world"),
        ("'A b_c' | slugify: 'pretty'", "a-b_c"),
        ("'A  b' | slugify: 'raw', true", "A-b"),
        ("'A b' | slugify: 'none'", "a b"),
        ("'é' | base64_encode", "w6k="),
        ("'w6k' | base64_decode", "é"),
        ("'a' | sha256 | slice: 0, 8", "ca978112"),
        ("'a' | hmac_sha256: 'k' | slice: 0, 8", "78da9151"),
        ("'a\nb' | strip_newlines", "ab"),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_filters_give_what_liquidjs_gives(name: str) -> None:
    """Each filter computes and prints as the reference's does."""
    for expression, text in CASES[name]:
        assert compile_liquid_template(f"{{{{ {expression} }}}}")(DATA) == text, expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'%zz' | url_decode", "two hexadecimal digits"),
        ("'%ff' | url_decode", "UTF-8"),
        ("'a*' | base64_decode", "should get base64"),
        ("'2022-01-01' | date: '%Y', 'Nowhere/Land'", "not a time zone"),
        ("'a' | prepend", "one argument"),
    ],
)
def test_filters_refuse_what_they_cannot_do(expression: str, message: str) -> None:
    """What makes the reference fail fails here, with a message."""
    with pytest.raises(LiquidError, match=message):
        compile_liquid_template(f"{{{{ {expression} }}}}")(DATA)
