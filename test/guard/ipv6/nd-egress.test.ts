/** Neighbour discovery from the VM (docs/guard-ipv6.md, Neighbour discovery), check by check. */
import { test } from "node:test";
import { bytes, hex, join, patch, word } from "../support.ts";
import {
  ALL_NODES,
  ALL_ROUTERS,
  ANY,
  address6,
  Bench6,
  icmpv6,
  LINK,
  na,
  ns,
  nsDad,
  nsIn,
  OTHER,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  packet6,
  ROUTER,
  ra,
  rs,
  SECOND,
  solicited,
  sourceLink,
  targetLink,
  VM,
} from "./support.ts";

/** Destination options with padding only. */
const destinationOptions = (next: number): Uint8Array => bytes(next, 0, 1, 4, 0, 0, 0, 0);
const fragmentHeader = (next: number): Uint8Array => bytes(next, 0, 0, 1, 0, 0, 0, 9);
const hopByHop = (next: number): Uint8Array => bytes(next, 0, 1, 4, 0, 0, 0, 0);

test("S1 router advertisements and redirects of the VM's drop, whatever headers are before them", () => {
  const bench = new Bench6().start();
  const redirect = icmpv6(137, join(word(0), address6(OTHER, OTHER)), { source: LINK, destination: OTHER, hops: 255 });
  bench.dropsOut("icmpv6.router", ra({ from: VM, source: LINK }), redirect);
  for (const [next, header] of [
    [0, hopByHop(58)],
    [60, destinationOptions(58)],
    [44, fragmentHeader(58)],
    [0, join(hopByHop(60), destinationOptions(58))],
  ] as const) {
    // A fragment before the last is a multiple of 8 bytes long, and so is this one.
    bench.dropsOut("icmpv6.router", ra({ from: VM, source: LINK, next, headers: header }));
  }
});

test("S2 neighbour discovery behind any extension header drops, both ways", () => {
  const bench = new Bench6().start();
  for (const [next, headers] of [
    [0, hopByHop(58)],
    [60, destinationOptions(58)],
    [44, fragmentHeader(58)],
  ] as const) {
    bench.dropsOut("nd.extension", ns({ next, headers }), na({ next, headers }), rs({ next, headers }));
    bench.dropsIn("nd.extension", nsIn({ next, headers }), ra({ next, headers }));
  }
});

test("duplicate address detection as Linux sends it, byte by byte", () => {
  const bench = new Bench6();
  // For fe80::7c1a:ff:fe00:1, with a nonce option (RFC 7527).
  bench.passesOut(
    hex(`3333ff000001 7e1a00000001 86dd 60000000 0020 3a ff 00000000000000000000000000000000
      ff0200000000000000000001ff000001 8700 a783 00000000 fe800000000000007c1a00fffe000001 0e01 a1b2c3d4e5f6`),
  );
});

test("form: hop limit, code, checksum, length, options, in this order", () => {
  const bench = new Bench6().start();
  bench.dropsOut(
    "nd.format",
    ns({ hops: 254 }),
    ns({ hops: 254, wrong: 1 }),
    na({ code: 1 }),
    rs({ code: 1, wrong: 1 }),
  );
  bench.dropsOut("nd.checksum", ns({ wrong: 1 }), na({ wrong: 0x8000 }));
  const words = { source: LINK, destination: ALL_ROUTERS, hops: 255 };
  bench.dropsOut("nd.format", icmpv6(135, bytes(...new Array<number>(19).fill(0)), words));
  bench.dropsOut("nd.format", icmpv6(136, bytes(...new Array<number>(12).fill(0)), words));
  bench.passesOut(icmpv6(133, word(0), words));
});

test("S4 options of length 0, past the end, or more than 32 drop", () => {
  const bench = new Bench6().start();
  const padding = (count: number): Uint8Array =>
    bytes(...new Array<number[]>(count).fill([99, 1, 0, 0, 0, 0, 0, 0]).flat());
  bench.dropsOut("nd.format", ns({ options: bytes(99, 0, 0, 0, 0, 0, 0, 0) }));
  bench.dropsOut("nd.format", ns({ options: bytes(99, 2, 0, 0, 0, 0, 0, 0) }));
  bench.dropsOut("nd.format", ns({ options: bytes(99) }));
  bench.dropsOut("nd.format", ns({ options: padding(33) }));
  bench.passesOut(ns({ options: padding(32) }));
  bench.dropsOut("nd.format", ns({ options: join(sourceLink(VM), sourceLink(VM)) }));
  bench.dropsOut("nd.format", ns({ options: bytes(1, 2, 0x7e, 0x1a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) }));
});

test("bytes behind the message, as its payload length gives it, do not exist", () => {
  const bench = new Bench6().start();
  bench.passesOut(join(ns(), bytes(99, 0, 0, 0, 0, 0, 0, 0)));
});

test("S3 duplicate address detection: destination, link-layer options, target", () => {
  const bench = new Bench6().start();
  bench.dropsOut("nd.target", nsDad("ff02::5"), nsDad("::"), nsDad("::1"));
  bench.dropsOut(
    "nd.destination",
    nsDad(OTHER, { destination: ALL_NODES }),
    nsDad(OTHER, { destination: solicited(LINK) }),
  );
  bench.dropsOut(
    "nd.link-layer",
    nsDad(OTHER, { options: sourceLink(VM) }),
    nsDad(OTHER, { options: targetLink(OTHER_MAC) }),
  );
  // Not in a prefix that the router advertised, not in fe80::/64, without an interface identifier, the router's.
  bench.dropsOut(
    "nd.target",
    nsDad("2001:db8:2::5"),
    nsDad("fe80:1::5"),
    nsDad("fe80::"),
    nsDad("2001:db8:1::"),
    nsDad(ROUTER),
  );
  bench.passesOut(nsDad(OTHER), nsDad(OTHER), nsDad(OWN), nsDad(LINK), nsDad(OTHER_LINK));
});

test("S3 a solicitation comes from an address of the VM's, tentative or valid, and goes to its target", () => {
  const bench = new Bench6().start();
  bench.passesOut(ns(), ns({ source: OWN }), ns({ destination: ROUTER }), ns({ options: sourceLink(VM) }));
  bench.dropsOut("nd.source", ns({ source: OTHER }), ns({ source: OTHER_LINK }));
  bench.dropsOut("nd.destination", ns({ destination: ALL_NODES }), ns({ destination: OTHER }));
  bench.dropsOut("nd.link-layer", ns({ options: sourceLink(OTHER_MAC) }), ns({ options: targetLink(OTHER_MAC) }));
  bench.passesOut(nsDad(OTHER), ns({ source: OTHER }));
});

test("S3 an advertisement names an address of the VM's, from one, with the VM's MAC", () => {
  const bench = new Bench6().start();
  bench.passesOut(na(), na({ options: bytes() }), na({ source: LINK }), na({ target: LINK }));
  bench.dropsOut("nd.target", na({ target: OTHER }), na({ target: ROUTER }), na({ target: "ff02::1" }));
  bench.dropsOut("nd.source", na({ source: OTHER }), na({ source: ANY }));
  bench.dropsOut("nd.link-layer", na({ options: targetLink(OTHER_MAC) }), na({ options: sourceLink(OTHER_MAC) }));
  bench.passesOut(na({ options: join(targetLink(VM), sourceLink(VM)) }));
  bench.dropsOut("nd.router-flag", na({ flags: 0x80 }), na({ flags: 0xe0, destination: ALL_NODES }));
});

test("S3 RFC 9131: an advertisement to all nodes or all routers, without flag S", () => {
  const bench = new Bench6().start();
  for (const destination of [ALL_NODES, ALL_ROUTERS]) {
    bench.passesOut(na({ destination, flags: 0 }), na({ destination, flags: 0x20 }));
    bench.dropsOut("nd.format", na({ destination, flags: 0x40 }), na({ destination, flags: 0x60 }));
  }
  bench.dropsOut(
    "nd.destination",
    na({ destination: "ff02::5", flags: 0x40 }),
    na({ destination: solicited(OWN), flags: 0 }),
  );
});

test("S3 a router solicitation: source, link-layer option, destination", () => {
  const bench = new Bench6().start();
  bench.passesOut(
    rs(),
    rs({ source: LINK }),
    rs({ source: LINK, options: sourceLink(VM) }),
    rs({ source: LINK, destination: ROUTER }),
  );
  bench.dropsOut(
    "nd.link-layer",
    rs({ options: sourceLink(VM) }),
    rs({ source: LINK, options: sourceLink(OTHER_MAC) }),
  );
  bench.dropsOut("nd.link-layer", rs({ source: LINK, options: targetLink(OTHER_MAC) }));
  bench.dropsOut("nd.source", rs({ source: OTHER_LINK }));
  bench.dropsOut("nd.destination", rs({ destination: ALL_NODES }), rs({ source: LINK, destination: OTHER_LINK }));
});

test("S11 ND and MLD from the VM: 200 at once, then 50 a second; what drops takes no token", () => {
  const bench = new Bench6().start();
  bench.wait(10 * SECOND);
  for (let count = 0; count < 300; count++) bench.dropsOut("nd.target", na({ target: OTHER }));
  for (let count = 0; count < 200; count++) bench.passesOut(ns());
  bench.dropsOut("nd.rate", ns(), na(), rs(), nsDad(OWN), nsDad(OTHER));
  bench.wait(20_000);
  bench.passesOut(na());
  bench.dropsOut("nd.rate", na());
  bench.wait(19_999);
  bench.dropsOut("nd.rate", na());
  // That of a detection is taken only where everything else passes.
  bench.wait(1);
  bench.dropsOut("nd.target", nsDad("2001:db8:2::5"));
  bench.passesOut(nsDad(OTHER));
});

test("S2 DAD of the VM's in a cut frame, or of another version, is no neighbour discovery", () => {
  const bench = new Bench6();
  const frame = nsDad(LINK);
  bench.dropsOut("ipv6.format", frame.subarray(0, 60), patch(frame, 14, 0x40), packet6(58, bytes(), {}));
});
