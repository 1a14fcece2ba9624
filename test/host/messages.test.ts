/** What a softnet that a guest has taken over may say to the helper: nothing that is not checked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encode, type OpenRequest, parseRequest, type Request } from "../../src/host/messages.ts";

const REACH = { allowed: [[1, 2]], answerable: [], closed: [[3, 3]], dns: [] } as const;
const OPEN: OpenRequest = {
  kind: "open",
  tap: "softnet0",
  nat: true,
  exposures: [[80, 8080]],
  connections: 9,
  reach: REACH,
};
const REACH6 = { allowed: [[1n, 1n << 127n]], answerable: [], closed: [[3n, 3n]], dns: [] } as const;
const read = (message: unknown): Request | undefined => parseRequest(Buffer.from(JSON.stringify(message)));

test("what softnet says is read as it was meant", () => {
  const requests: Request[] = [
    { kind: "reserve", avoid: [] },
    { kind: "reserve", chosen: "10.0.0.0/30", preferred: "10.0.0.4/30", avoid: [1, 0xffffffff] },
    OPEN,
    { kind: "change", reach: REACH },
    { kind: "reserve", avoid: [], ipv6: true, preferred6: "fd12:3456:789a:1::/64" },
    { ...OPEN, reach6: REACH6 },
    { kind: "change", reach: REACH, reach6: REACH6 },
    { kind: "address6", address: 0xfd12n << 112n },
    { kind: "address6" },
    { kind: "attach", index: 12, token: "0f".repeat(32) },
    { kind: "start" },
    { kind: "unbridge" },
    { kind: "detach" },
  ];
  for (const request of requests) assert.deepEqual(parseRequest(encode(request)), request);
});

test("no word reaches nft that is not a number, a TAP of softnet's or a subnet", () => {
  const hostile = "softnet0; flush ruleset";
  const wrong: unknown[] = [
    null,
    [],
    7,
    "open",
    { kind: "flush" },
    { kind: "reserve" },
    { kind: "reserve", avoid: [hostile] },
    { kind: "reserve", avoid: Array(65).fill(1) },
    { kind: "reserve", avoid: [], chosen: hostile },
    { kind: "reserve", avoid: [], preferred: "10.0.0.1/30" },
    ...["eth0", hostile, "softnet", "softnet-0", "softnet123456789", '"softnet0"', 0].map((tap) => ({ ...OPEN, tap })),
    ...["yes", undefined, 1].map((nat) => ({ ...OPEN, nat })),
    ...[0, 65_537, 1.5, "9"].map((connections) => ({ ...OPEN, connections })),
    ...[[[0, 1]], [[1, 65_536]], [[1]], [["1", "2"]], "", Array(257).fill([1, 1])].map((exposures) => ({
      ...OPEN,
      exposures,
    })),
    ...[[[2, 1]], [[-1, 1]], [["a", "b"]], [[1, 2 ** 32]], Array(16_385).fill([1, 1]), {}].map((allowed) => ({
      kind: "change",
      reach: { ...REACH, allowed },
    })),
    ...[0, -1, 1.5, 2 ** 31, "12", undefined].map((index) => ({ kind: "attach", index, token: "0f".repeat(32) })),
    ...["", "0f", "0F".repeat(32), hostile, 7, undefined].map((token) => ({ kind: "attach", index: 12, token })),
    { kind: "change" },
    ...[hostile, "2001:db8::/64", "fd12::1/64", "fd12::/48", 7].map((preferred6) => ({
      kind: "reserve",
      avoid: [],
      ipv6: true,
      preferred6,
    })),
    { kind: "reserve", avoid: [], ipv6: "yes" },
    ...[hostile, 7, "fe80::1%eth0", "10.0.0.1", null].map((address) => ({ kind: "address6", address })),
    ...[[["::2", "::1"]], [[hostile, "::1"]], [["::1"]], [[1, 2]], Array(16_385).fill(["::1", "::1"]), {}].map(
      (allowed) => ({ kind: "change", reach: REACH, reach6: { allowed, answerable: [], closed: [], dns: [] } }),
    ),
    { kind: "change", reach: { allowed: [], answerable: [], closed: [] } },
  ];
  for (const message of wrong) assert.equal(read(message), undefined, JSON.stringify(message)?.slice(0, 100));
});

test("bytes of any kind are no reason to throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parseRequest(bytes) === undefined));
  fc.assert(fc.property(fc.jsonValue(), (value) => typeof read(value) !== "string"));
});
