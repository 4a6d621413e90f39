"""Requests as raw bytes, and what has to become of each: refused with a status, or passed on in one form.

What two programs could read in two ways is how requests are smuggled (RFC 9112 section 11.2): nothing of that
kind may reach the application. `test_head.REFUSED` holds the first of them.
"""

from __future__ import annotations

Refused = dict[str, tuple[bytes, int]]
# Control characters that no field may hold; LF and CR have rows of their own.
CONTROLS = [number for number in (*range(32), 127) if number not in (9, 10, 13)]


def _get(fields: str, line: str = "GET / HTTP/1.1", status: int = 400) -> tuple[bytes, int]:
    return f"{line}\r\n{fields}\r\n\r\n".encode("latin-1"), status


def _post(fields: str, status: int = 400) -> tuple[bytes, int]:
    return _get(f"Host: a\r\n{fields}", "POST /echo HTTP/1.1", status)


# One row, one way to hide an encoding from one of two readers.
ENCODINGS: Refused = {
    "TE.CL": _post("Transfer-Encoding: chunked\r\nContent-Length: 4"),
    "CL.TE": _post("Content-Length: 4\r\nTransfer-Encoding: chunked"),
    "CL.TE with fields between": _post("Content-Length: 4\r\nX: y\r\nTransfer-Encoding: chunked"),
    "CL.TE, the name in capitals": _post("Content-Length: 4\r\nTRANSFER-ENCODING: chunked"),
    "CL.TE, a space before the colon": _post("Content-Length: 4\r\nTransfer-Encoding : chunked"),
    "CL.TE, a tab before the colon": _post("Content-Length: 4\r\nTransfer-Encoding\t: chunked"),
    "CL.TE, folded": _post("Content-Length: 4\r\nTransfer-Encoding:\r\n chunked"),
    "CL.TE, in a folded field": _post("Content-Length: 4\r\nX: y\r\n Transfer-Encoding: chunked"),
    "CL.TE after a bare LF": _post("Content-Length: 4\r\nX: y\nTransfer-Encoding: chunked"),
    "CL.TE after a bare CR": _post("Content-Length: 4\r\nX: y\rTransfer-Encoding: chunked"),
    "CL.TE, the name cut by LF": _post("Content-Length: 4\r\nTransfer-Encoding\n: chunked"),
    "CL.TE, identity": _post("Content-Length: 4\r\nTransfer-Encoding: identity"),
    "CL.TE, an unknown encoding": _post("Content-Length: 4\r\nTransfer-Encoding: cow"),
    "TE.TE, the second unknown": _post("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
    "TE.TE, the first unknown": _post("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", 501),
    "TE.TE, the second identity": _post("Transfer-Encoding: chunked\r\nTransfer-encoding: identity"),
    "TE.TE, chunked twice": _post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "chunked and a list": _post("Transfer-Encoding: chunked, cow"),
    "chunked with a parameter": _post("Transfer-Encoding: chunked;q=1"),
    "chunked in quotes": _post('Transfer-Encoding: "chunked"'),
    "chunked in single quotes": _post("Transfer-Encoding: 'chunked'"),
    "chunked and a comma": _post("Transfer-Encoding: chunked,"),
    "a comma and chunked": _post("Transfer-Encoding: ,chunked", 501),
    "chunked and NUL": _post("Transfer-Encoding: chunked\0"),
    "chunked after a form feed": _post("Transfer-Encoding: \x0cchunked"),
    "chunked with a soft hyphen": _post("Transfer-Encoding: chunked\xad"),
    "chunked with a Kelvin sign": _post("Transfer-Encoding: chun\xe2\x84\xaaed"),
    "no encoding": _post("Transfer-Encoding:"),
    "chunk": _post("Transfer-Encoding: chunk"),
    "chunked in 1.0 with a length": _get(
        "Content-Length: 4\r\nTransfer-Encoding: chunked", "POST / HTTP/1.0"
    ),
}
LENGTHS: Refused = {
    **{
        f"the length {value!r}": _post(f"Content-Length: {value}")
        for value in (
            *("3,4", "3 4", "3, 3", "3;", "3.0", "1e1", "0x10", "0b1", "1_0", "+3", "-3", "+0", "-0", "- 3"),
            *(
                '"3"',
                "3a",
                "a",
                "three",
                "\x0b3",
                "3\x0c",
                "3\0",
                "\xb2",
                "\xa03",
                "3\xa0",
                "\xef\xbc\x93",
                ",",
            ),
            *("18446744073709551615", "18446744073709551616", "9223372036854775808", "1" * 40),
        )
    },
    "two lengths that differ": _post("Content-Length: 3\r\nContent-Length: 4"),
    "two lengths, one empty": _post("Content-Length: 3\r\nContent-Length:"),
    "two lengths far apart": _post("Content-Length: 3\r\nX: y\r\ncontent-length: 4"),
    "a folded length": _post("Content-Length: 3\r\n 4"),
    "a length on the next line": _post("Content-Length:\r\n 3"),
    "a length with a space before the colon": _post("Content-Length : 3"),
    "a length with NUL in its name": _post("Content\0-Length: 3"),
}
LINES: Refused = {
    "LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "LF after a field": (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    "LF for the empty line": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "LF everywhere": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "LF before the request": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "LF in the target": (b"GET /\n HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "LF in a name": (b"GET / HTTP/1.1\r\nHost: a\r\nX\n-Y: z\r\n\r\n", 400),
    "LF in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\nz\r\n\r\n", 400),
    "CR after the request line": (b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    "CR after a field": (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
    "CR everywhere": (b"GET / HTTP/1.1\rHost: a\r\r\r\n\r\n", 400),
    "CR before the request": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CR in the target": (b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CR in a name": (b"GET / HTTP/1.1\r\nHost: a\r\nX\r-Y: z\r\n\r\n", 400),
    "CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400),
    "CR twice before LF": (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
    "CR before the empty line": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400),
    "a folded field": _get("Host: a\r\nX: y\r\n z"),
    "a field folded by a tab": _get("Host: a\r\nX: y\r\n\tz"),
    "a folded Host": _get("Host: a\r\n b"),
    "a fold that holds nothing": _get("Host: a\r\nX: y\r\n "),
    "a fold after the request line": _get(" Host: a\r\nHost: b"),
    "a field without a colon": _get("Host: a\r\nX"),
    "a line of spaces": _get("Host: a\r\n  \r\nX: y"),
}
FIELDS: Refused = {
    **{f"the character {number} in a value": _get(f"Host: a\r\nX: y{chr(number)}z") for number in CONTROLS},
    **{f"the character {number} in a name": _get(f"Host: a\r\nX{chr(number)}Y: z") for number in CONTROLS},
    **{
        f"the name {name!r}": _get(f"Host: a\r\n{name}: y")
        for name in (
            "",
            "a b",
            "a\tb",
            " a",
            "a ",
            "a(b",
            "a/b",
            "a@b",
            "a,b",
            "a;b",
            '"a"',
            "[a]",
            "{a}",
            "\xff",
        )
    },
}
HOSTS: Refused = {
    **{
        f"the Host {value!r}": _get(f"Host: {value}")
        for value in (
            *(
                "a b",
                "a\tb",
                "a/b",
                "a?b",
                "a#b",
                "a\\b",
                "u@a",
                "a,b",
                "a:b",
                "a:80:80",
                "a:-1",
                "a: 80",
                "http://a",
            ),
            *("[::1", "::1", "[::1]a", "[::1]:b", '"a"', "a<b", "\xe4", "a\0b"),
        )
    },
    "none": _get("X: y"),
    "two that differ": _get("Host: a\r\nHost: b"),
    "two that are alike": _get("Host: a\r\nHost: a"),
    "two in two spellings": _get("Host: a\r\nhost: a"),
    "two, one of them empty": _get("Host:\r\nHost: a"),
    "two around other fields, with an absolute target": _get(
        "Host: a\r\nX: y\r\nHost: b", "GET http://a/ HTTP/1.1"
    ),
    "none beside an absolute target": _get("X: y", "GET http://a/ HTTP/1.1"),
}
TARGETS: Refused = {
    **{
        f"the target {target!r}": _get("Host: a", f"GET {target} HTTP/1.1")
        for target in (
            *(
                "/a b",
                "/a\tb",
                "/ ",
                "",
                "a",
                "a:80",
                "?a",
                "*",
                "/#a",
                "/a#",
                "\\",
                "/\0",
                "/\x01",
                "/\x7f",
                "/\x0b",
            ),
            *(
                "http:///x",
                "http://",
                "http:a",
                "http:/a",
                "//a b",
                "ftp://a/",
                "file:///etc/passwd",
                "http://a b/",
            ),
            *("http://u@a/", "http://a\\@b/", "http://a:b/", "http://a:80:80/", "http://[::1/", "http://a#b"),
        )
    },
}
VERSIONS: Refused = {
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9 with a version": _get("Host: a", "GET / HTTP/0.9", 505),
    **{
        f"the version {version!r}": _get("Host: a", f"GET / {version}")
        for version in (
            *(
                "HTTP/1.2",
                "HTTP/1.10",
                "HTTP/01.1",
                "HTTP/1.1x",
                "HTTP/1.1 ",
                "HTTP/1.1\t",
                "http/1.1",
                "HTTP/ 1.1",
            ),
            *(
                "HTTP/1,1",
                "HTTP/1",
                "HTTP/1.",
                "HTTP/.1",
                "HTTP/11",
                "HTTP/3.0",
                "HTTPS/1.1",
                "HTTP 1.1",
                "HTTP",
                "1.1",
            ),
        )
    },
    "HTTP/2 without its preface": _get("Host: a", "GET / HTTP/2.0", 505),
}
METHODS: Refused = {
    **{
        f"the method {method!r}": _get("Host: a", f"{method} / HTTP/1.1")
        for method in (
            "",
            " GET",
            "\tGET",
            "GET ",
            "GET\t",
            "G\tET",
            "GE\0T",
            "G\xc9T",
            "GET\x0b",
            "{GET}",
            "G,T",
        )
    },
    **{
        f"the method {method!r}": _get("Host: a", f"{method} / HTTP/1.1", 501)
        for method in ("get", "Get", "G ET", "GETS", "FOO", "X-GET", "GET_", "G" * 100)
    },
    "TLS": (bytes.fromhex("16030100c8010000c40303") + b"\r\n\r\n", 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
}
HEADS: Refused = {
    f"{group}: {name}": row
    for group, rows in (
        ("encodings", ENCODINGS),
        ("lengths", LENGTHS),
        ("lines", LINES),
        ("fields", FIELDS),
        ("hosts", HOSTS),
        ("targets", TARGETS),
        ("versions", VERSIONS),
        ("methods", METHODS),
    )
    for name, row in rows.items()
}

# Bodies in chunks that are refused with 400.
CHUNKS: dict[str, bytes] = {
    **{
        f"the size {size!r}": size + b"\r\nhello\r\n0\r\n\r\n"
        for size in (
            *(
                b"",
                b" 5",
                b"5 ",
                b"\t5",
                b"5\t",
                b"+5",
                b"-5",
                b"0x5",
                b"5h",
                b"g",
                b"5,5",
                b"5.0",
                b"5_",
                b"\xb2",
                b"5\0",
            ),
            *(
                b"ffffffffffffffff",
                b"10000000000000005",
                b"0000000000000000005",
                b"f" * 100,
                b"\r5",
                b"5\r",
                b"5\n",
            ),
        )
    },
    **{
        f"the extension {extension!r}": b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
        for extension in (
            *(
                b";",
                b";;a",
                b"; ",
                b";=b",
                b";a=",
                b";a=b=c",
                b";a b",
                b" ;a",
                b";a\0",
                b";a=\x01",
                b";a=\x7f",
                b";(a)",
            ),
            *(
                b';a="',
                b';a="b',
                b';a="\r\nX',
                b';a="b"c',
                b';a="\\',
                b";a=b\r",
                b";a=b\n",
                b";" + b"a" * 5000,
            ),
        )
    },
    "a size that ends with LF": b"5\nhello\r\n0\r\n\r\n",
    "a size that ends with CR": b"5\rhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "a chunk that ends with LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk that ends with CR": b"5\r\nhello\r0\r\n\r\n",
    "a chunk that does not end": b"5\r\nhello0\r\n\r\n",
    "the last chunk ends with LF": b"5\r\nhello\r\n0\n\r\n",
    "the trailer ends with LF": b"5\r\nhello\r\n0\r\n\n",
    "the trailer ends with CR": b"5\r\nhello\r\n0\r\n\r\r\n",
    **{
        f"the trailer {field!r}": b"5\r\nhello\r\n0\r\n" + field + b"\r\n\r\n"
        for field in (
            *(
                b"Transfer-Encoding: chunked",
                b"Content-Length: 5",
                b"content-length: 0",
                b"Host: b",
                b"TE: x",
            ),
            *(
                b"Connection: close",
                b"Trailer: X",
                b"Authorization: x",
                b"Expect: 100-continue",
                b"Content-Type: x",
            ),
            *(
                b"Content-Encoding: gzip",
                b"Content-Range: bytes 0-1/2",
                b"X-Forwarded-For: 1.2.3.4",
                b"Cookie: a=b",
            ),
            *(
                b"X : y",
                b" X: y",
                b"X: y\r\n z",
                b"X",
                b": y",
                b"X: y\0",
                b"X: y\rZ: z",
                b"X: y\nZ: z",
                b"X\0: y",
            ),
            *(b"X-Forwarded-Proto: https", b"Proxy-Authorization: x", b"Upgrade: x", b"X: " + b"y" * 5000),
        )
    },
}

# What is accepted, and the head in which it reaches the application, but for the order of fields.
_TAIL = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
_LONG = "POST /echo HTTP/1.1\r\nHost: a\r\n"
ACCEPTED: dict[str, tuple[str, str]] = {
    "a plain one": ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", f"GET / HTTP/1.1\r\nHost: a\r\n{_TAIL}\r\n"),
    "empty lines before it": (
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{_TAIL}\r\n",
    ),
    "white space around a Host": (
        "GET / HTTP/1.1\r\nhOST:\t a \t\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{_TAIL}\r\n",
    ),
    "Host last": (
        "GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n{_TAIL}\r\n",
    ),
    "an empty Host": ("GET / HTTP/1.1\r\nHost:\r\n\r\n", f"GET / HTTP/1.1\r\nHost: \r\n{_TAIL}\r\n"),
    "1.0 without Host": ("GET / HTTP/1.0\r\n\r\n", f"GET / HTTP/1.0\r\n{_TAIL}\r\n"),
    "an absolute target, another Host": (
        "GET http://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /x?y HTTP/1.1\r\nHost: b:8\r\n{_TAIL}\r\n",
    ),
    "an absolute target without a path": (
        "GET HTTP://b?y HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /?y HTTP/1.1\r\nHost: b\r\n{_TAIL}\r\n",
    ),
    "an asterisk": ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", f"OPTIONS * HTTP/1.1\r\nHost: a\r\n{_TAIL}\r\n"),
    "encoded line ends": (
        "GET /%0d%0a%00%23 HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /%0d%0a%00%23 HTTP/1.1\r\nHost: a\r\n{_TAIL}\r\n",
    ),
    "bytes above 127 in a value": (
        "GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\xff\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\xff\r\n{_TAIL}\r\n",
    ),
    "an empty value": (
        "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: \r\n{_TAIL}\r\n",
    ),
    "white space around a length": (
        f"{_LONG}Content-Length:\t 5 \r\n\r\nhello",
        f"{_LONG}{_TAIL}Content-Length: 5\r\n\r\n",
    ),
    "a length with zeros before it": (
        f"{_LONG}Content-Length: 005\r\n\r\nhello",
        f"{_LONG}{_TAIL}Content-Length: 5\r\n\r\n",
    ),
    "chunked after a tab, in capitals": (
        f"{_LONG}transfer-encoding:\tCHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        f"{_LONG}{_TAIL}Transfer-Encoding: chunked\r\n\r\n",
    ),
    "extensions and a trailer": (
        f'{_LONG}Transfer-Encoding: chunked\r\n\r\n3;a;b=c; d="e\\"; f"\r\nhel\r\n002\r\nlo\r\n0;x\r\nX-Sum: 1\r\n\r\n',
        f"{_LONG}{_TAIL}Transfer-Encoding: chunked\r\n\r\n",
    ),
    "a length that Connection names": (
        f"{_LONG}Connection: content-length, x\r\nX: y\r\nContent-Length: 5\r\n\r\nhello",
        f"{_LONG}{_TAIL}Content-Length: 5\r\n\r\n",
    ),
    "an encoding that Connection names": (
        f"{_LONG}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        f"{_LONG}{_TAIL}Transfer-Encoding: chunked\r\n\r\n",
    ),
}
