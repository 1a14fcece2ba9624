/** The host of a client's first HTTP request, however it arrives (RFC 9112, RFC 9110 7.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HEAD_ABSOLUTE,
  HEAD_CONNECT,
  HEAD_MALFORMED,
  HEAD_MORE,
  HEAD_NAMELESS,
  HEAD_OTHER_VERSION,
  LONGEST_HEAD,
} from "../../src/wire/http-head.ts";
import { readHead } from "./http-support.ts";

const both = (text: string, expected: string | number): void => {
  assert.equal(readHead(text), expected, JSON.stringify(text));
  assert.equal(readHead(text, [1]), expected, JSON.stringify(text));
};

const withHost = (line: string): string => `GET / HTTP/1.1\r\n${line}\r\n\r\n`;

test("the request of RFC 9112 3.2.1, in one piece and byte by byte", () => {
  const request = "GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
  both(request, "www.example.org");
  for (let length = 0; length < request.length; length++) both(request.slice(0, length), HEAD_MORE);
});

test("the host is normalised, the port read", () => {
  for (const [line, expected] of [
    ["Host: WWW.Example.ORG", "www.example.org"],
    ["hOST:example.org", "example.org"],
    ["Host: example.org.", "example.org"],
    ["Host: \t example.org \t", "example.org"],
    ["Host: example.org:8080", "example.org:8080"],
    ["Host: example.org.:65535 ", "example.org:65535"],
    ["Host: example.org:", "example.org"],
    ["Host: localhost", "localhost"],
    ["Host: my_host.example", "my_host.example"],
  ] as const) {
    both(withHost(line), expected);
  }
});

test("other fields do not matter, before Host and behind it", () => {
  both(
    "POST / HTTP/1.0\r\nX-Host: b.example\r\nHosts: b\r\nHos: b\r\nhost: a.example\r\nX: \r\nCookie: a=\xff\t;\r\n\r\nHost: b",
    "a.example",
  );
  both("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example");
  both("M-SEARCH /a%00\xe4 HTTP/1.9\r\nHost: a.example\r\n\r\n", "a.example");
});

test("no Host, an empty one, or an address: no name", () => {
  for (const head of ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"]) both(head, HEAD_NAMELESS);
  for (const value of ["", " ", "192.0.2.1", "192.0.2.1:80", "1", "[2001:db8::1]", "[::1]:8080", "[::1] ", "a.1"]) {
    both(withHost(`Host:${value}`), HEAD_NAMELESS);
  }
});

test("requests to a proxy", () => {
  both("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", HEAD_ABSOLUTE);
  both("GET b.example HTTP/1.1\r\n", HEAD_ABSOLUTE);
  both("CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", HEAD_CONNECT);
  both("CONNECT /", HEAD_CONNECT);
  both("CONNECTS / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example");
  both("CONNECX / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example");
  both("connect b.example:443 HTTP/1.1\r\n", HEAD_ABSOLUTE);
});

test("HTTP of other versions", () => {
  both("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HEAD_OTHER_VERSION);
  both("GET / HTTP/0.9\r\n\r\n", HEAD_OTHER_VERSION);
  both("GET /\r\n", HEAD_MALFORMED);
});

test("what servers could read in different ways, and what is no HTTP", () => {
  const named = "Host: a.example";
  for (const text of [
    withHost(`${named}\r\nHost: b.example`),
    withHost(`${named}\r\n${named}`),
    withHost(`${named}\r\nhost:`),
    withHost(`Host:\r\n${named}`),
    withHost(`${named}\r\nX: 1\r\n b.example`), // obs-fold
    withHost("Host:\r\n a.example"),
    withHost(`\t${named}`),
    withHost(` ${named}`),
    withHost("Host : a.example"),
    withHost(`X : 1\r\n${named}`),
    withHost(`X\r\n${named}`),
    withHost(`: 1\r\n${named}`),
    withHost(`X\0: 1\r\n${named}`),
    withHost(`X: a\0b\r\n${named}`),
    withHost(`X: a\rb\r\n${named}`),
    withHost(`X: a\nHost: b.example\r\n${named}`), // one line or two
    withHost(`X: a\x0bb\r\n${named}`),
    withHost(`X: a\x7fb\r\n${named}`),
    withHost(`${named}\n`),
    withHost(`${named}\r\r\n`),
    `GET / HTTP/1.1\n${named}\n\n`,
    `GET / HTTP/1.1\r\n${named}\r\n\r\r`,
    `\r\nGET / HTTP/1.1\r\n${named}\r\n\r\n`,
    ` GET / HTTP/1.1\r\n${named}\r\n\r\n`,
    `GET  / HTTP/1.1\r\n${named}\r\n\r\n`,
    `GET\t/ HTTP/1.1\r\n${named}\r\n\r\n`,
    `GET /  HTTP/1.1\r\n${named}\r\n\r\n`,
    `GET / HTTP/1.1 \r\n${named}\r\n\r\n`,
    `GET /\0 HTTP/1.1\r\n${named}\r\n\r\n`,
    `GET / http/1.1\r\n${named}\r\n\r\n`,
    `GET / HTTP/1.10\r\n${named}\r\n\r\n`,
    `GET / HTTP/1\r\n${named}\r\n\r\n`,
    `GET / HTTP/x.1\r\n${named}\r\n\r\n`,
    `GET / HTTP/1.x\r\n${named}\r\n\r\n`,
    ` / HTTP/1.1\r\n${named}\r\n\r\n`,
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\x16\x03\x01\x02\0\x01",
    "GET @/ HTTP/1.1\r\n",
  ]) {
    both(text, HEAD_MALFORMED);
  }
});

test("values of Host that are none", () => {
  const values = [
    "a.example b.example",
    "a.example, b.example",
    "a.example,",
    "u@a.example",
    "a..b",
    ".a",
    "-a",
    "a-",
    "a.example..",
  ];
  const ports = [
    "a.example:80:80",
    "a.example:65536",
    "a.example:8x",
    "a.example:-1",
    "a.example: 80",
    "[::1]80",
    ":80",
  ];
  for (const value of [
    ...values,
    ...ports,
    "http://a.example",
    "a.example/",
    "%61.example",
    "\xe4.example",
    "a\0.example",
  ]) {
    both(withHost(`Host: ${value}`), HEAD_MALFORMED);
  }
  for (const value of ["[::1", "[::1 ]", "a\x0b", "a:80 x", "a x", `${"a".repeat(64)}.b`, `${"a.".repeat(127)}b`]) {
    both(withHost(`Host: ${value}`), HEAD_MALFORMED);
  }
});

test("a head has 16,384 bytes at most", () => {
  const of = (length: number): string => {
    const rest = length - withHost("Host: a.example\r\nX: ").length;
    return withHost(`Host: a.example\r\nX: ${"x".repeat(rest)}`);
  };
  assert.equal(readHead(of(LONGEST_HEAD), [1000]), "a.example");
  assert.equal(readHead(of(LONGEST_HEAD + 1), [1000]), HEAD_MALFORMED);
  assert.equal(readHead(`${of(LONGEST_HEAD)}body`, [70_000]), "a.example");
});
