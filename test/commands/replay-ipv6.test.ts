/** `softnet replay` of IPv6, on captures that are put together here block by block. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createGuard } from "../../src/index.ts";
import { join as bytesOf, description, enhanced, option, section } from "../capture/build.ts";
import {
  clientId,
  dhcp6,
  dhcp6In,
  iaAddress,
  iaNa,
  inbound,
  LINK,
  na,
  naIn,
  nsDad,
  OTHER,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  PREFIX,
  prefixOption,
  ROUTER,
  ROUTER_MAC,
  ra,
  rs,
  serverId,
  sourceLink,
  targetLink,
  tcp6,
  VM,
} from "../guard/ipv6/support.ts";
import { bytes } from "../guard/support.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";

const LEASED = "2001:db8:1::1000";
const IPV6 = ["--vm-mac-address", VM, "--ipv6"];

interface Moment {
  /** Seconds. */
  readonly at: number;
  readonly way: "egress" | "ingress";
  readonly frame: Uint8Array;
  /** As it should be; "pass", or the drop's reason. */
  readonly verdict: string;
}

/** Frames a tenth of a second apart, or later. */
class Story {
  readonly moments: Moment[] = [];
  #now = 0;

  wait(seconds: number): this {
    this.#now += seconds;
    return this;
  }

  out(frame: Uint8Array, verdict = "pass"): this {
    return this.#add("egress", frame, verdict);
  }

  in(frame: Uint8Array, verdict = "pass"): this {
    return this.#add("ingress", frame, verdict);
  }

  #add(way: Moment["way"], frame: Uint8Array, verdict: string): this {
    this.#now += 0.1;
    this.moments.push({ at: this.#now, way, frame, verdict });
    return this;
  }
}

/** Writes a story as tcpdump does, or as a running softnet. */
function capture(t: TestContext, { moments }: Story, own = false): string {
  const path = join(temporaryFolder(t), "x.pcapng");
  const name = (text: string) => (own ? [option(true, 2, text)] : []);
  const packets = moments.map(({ at, way, frame }) =>
    enhanced(true, {
      bytes: frame,
      interface: way === "egress" ? 0 : 1,
      stamp: 1_700_000_000_000_000n + BigInt(Math.round(at * 1e6)),
    }),
  );
  const head = [
    section(true, ...(own ? [option(true, 4, "softnet test")] : [])),
    description(true, 1, 0, ...name("softnet-vm")),
    description(true, 1, 0, ...name("softnet-network")),
  ];
  writeFileSync(path, bytesOf(...head, ...packets));
  return path;
}

interface Line {
  readonly direction: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly summary?: { readonly pass: number; readonly drop: number; readonly reasons: Record<string, number> };
}

function replay(path: string, ...more: readonly string[]): readonly Line[] {
  const { status, stdout, stderr } = softnet(["replay", path, "--json", ...more]);
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const verdicts = (lines: readonly Line[]): readonly string[] =>
  lines.slice(0, -1).map(({ direction, verdict, reason }) => `${direction} ${reason ?? verdict}`);
const expected = ({ moments }: Story): readonly string[] => moments.map(({ way, verdict }) => `${way} ${verdict}`);

/** A guest that comes to its addresses by SLAAC and by DHCPv6. */
function boot(): Story {
  return new Story()
    .out(nsDad(LINK))
    .wait(0.5)
    .out(rs({ source: LINK, options: sourceLink(VM) }))
    .in(ra())
    .out(nsDad(OWN))
    .out(dhcp6(1, [clientId(), iaNa(7)]))
    .in(dhcp6In(2, [clientId(), serverId(), iaNa(7, iaAddress(LEASED))]))
    .out(dhcp6(3, [clientId(), serverId(), iaNa(7, iaAddress(LEASED))], { xid: 2 }))
    .in(dhcp6In(7, [clientId(), serverId(), iaNa(7, iaAddress(LEASED))], { xid: 2 }))
    .wait(0.5)
    .out(tcp6())
    .in(tcp6(inbound()))
    .out(tcp6({ source: LEASED }));
}

/** What a hostile guest, and a hostile network, tries. */
function attacks(): Story {
  const hidden = bytes(58, 0, 1, 4, 0, 0, 0, 0);
  return boot()
    .out(ra({ from: VM, source: LINK }), "icmpv6.router")
    .out(ra({ from: VM, source: LINK, next: 60, headers: hidden }), "icmpv6.router")
    .out(na({ target: ROUTER, source: LINK, flags: 0x20 }), "nd.target")
    .out(dhcp6(2, [clientId(), serverId()], { fromPort: 547, toPort: 546, destination: OTHER_LINK }), "dhcpv6.ports")
    .out(tcp6({ source: OTHER }), "ipv6.source")
    .out(tcp6({ destination: "fd00::9" }), "policy.destination")
    .out(tcp6({ destination: "2001:db8:1::9" }), "policy.on-link")
    .in(ra({ from: OTHER_MAC, source: OTHER_LINK }), "nd.router")
    .in(ra({ from: OTHER_MAC }), "nd.router")
    .wait(3)
    .in(naIn({ target: OWN }), "nd.conflict")
    .in(dhcp6In(7, [clientId(), serverId(), iaNa(7, iaAddress(OTHER))], { xid: 9 }), "dhcpv6.transaction")
    .out(tcp6());
}

test("a capture with SLAAC, DHCPv6 and attacks replays to the verdicts that a guard gives", (t) => {
  const story = attacks();
  const guard = createGuard({ macAddress: VM, ipv6: true });
  const given = story.moments.map(({ at, way, frame }) => {
    const { verdict, reason } = way === "egress" ? guard.egress(frame, at * 1e6) : guard.ingress(frame, at * 1e6);
    return `${way} ${reason ?? verdict}`;
  });
  assert.deepEqual(given, expected(story));
  for (const own of [false, true]) {
    const lines = replay(capture(t, story, own), ...IPV6, "--vm-interface", "0");
    assert.deepEqual(verdicts(lines), expected(story));
    assert.deepEqual(lines.at(-1)!.summary, {
      pass: 12,
      drop: 11,
      reasons: {
        "icmpv6.router": 2,
        "nd.target": 1,
        "dhcpv6.ports": 1,
        "ipv6.source": 1,
        "policy.destination": 1,
        "policy.on-link": 1,
        "nd.router": 2,
        "nd.conflict": 1,
        "dhcpv6.transaction": 1,
      },
    });
  }
});

test("the table describes IPv6 frames and sums up the drops by reason", (t) => {
  const { status, stdout } = softnet(["replay", capture(t, attacks(), true), ...IPV6]);
  assert.equal(status, 0);
  assert.match(stdout, /egress +pass +\d+ +ND probe fe80::7c1a:ff:fe00:1$/m);
  assert.match(stdout, /ingress +pass +\d+ +DHCPv6 REPLY xid 0x000002 gives 2001:db8:1::1000$/m);
  assert.match(stdout, /icmpv6\.router +\d+ +ND router advertisement from .* behind destination options$/m);
  assert.match(stdout, /^12 passed, 11 dropped$/m);
  assert.match(stdout, /^ +2 {2}icmpv6\.router +[a-z]/m);
  assert.match(stdout, /^ +1 {2}dhcpv6\.ports +UDP ports/m);
});

test("without --ipv6 each IPv6 frame is ethernet.ipv6, as ever", (t) => {
  const lines = replay(capture(t, boot(), true), "--vm-mac-address", VM);
  assert.deepEqual(lines.at(-1)!.summary, { pass: 0, drop: 11, reasons: { "ethernet.ipv6": 11 } });
});

test("--router6 trusts that router only, and --vm-ip-address gives an address that nothing has to teach", (t) => {
  const story = new Story()
    .out(nsDad(LINK))
    .in(ra({ from: OTHER_MAC, source: OTHER_LINK, options: prefixOption("2001:db8:2::") }), "nd.router")
    .in(ra())
    .out(tcp6())
    .wait(0.5)
    .out(nsDad("2001:db8:1::6"), "nd.target")
    .out(tcp6({ source: LINK, destination: ROUTER }))
    .in(
      na({
        source: ROUTER,
        destination: LINK,
        target: ROUTER,
        from: ROUTER_MAC,
        to: VM,
        options: targetLink(ROUTER_MAC),
      }),
    );
  const lines = replay(capture(t, story, true), ...IPV6, "--router6", ROUTER, "--vm-ip-address", `192.168.64.5,${OWN}`);
  assert.deepEqual(verdicts(lines), expected(story));
  assert.equal(PREFIX, "2001:db8:1::");
});

/** An address that was used for the last time 300 s ago, then defended against softnet's question, and one that came from nowhere. */
function asked(own: boolean): Story {
  return boot()
    .wait(300 - 0.2)
    .out(na(), own ? "pass" : "nd.target")
    .wait(2)
    .out(tcp6(), own ? "pass" : "ipv6.source")
    .out(tcp6({ source: OTHER }), "ipv6.source")
    .wait(0.6)
    .out(tcp6({ source: OTHER }), own ? "pass" : "ipv6.source");
}

test("what a running softnet asked, and its capture does not hold, counts as asked; in other captures nothing was", (t) => {
  for (const own of [true, false]) {
    const story = asked(own);
    const lines = replay(capture(t, story, own), ...IPV6, "--vm-interface", "0");
    assert.deepEqual(verdicts(lines), expected(story), `own ${own}`);
  }
});

test("G22 a DHCPv6 message whose checksum was left to the card is said to be so, and --offloads fills it in", (t) => {
  const message = dhcp6(1, [clientId(), iaNa(7)]);
  // The pseudo-header's sum is that of a datagram without bytes: what Linux writes before the card.
  const length = message.length - 54;
  let sum = length + 17;
  for (let at = 22; at < 54; at += 2) sum += message[at]! * 256 + message[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.set([sum >>> 8, sum & 255], 54 + 6);
  const path = capture(t, new Story().out(nsDad(LINK)).wait(0.5).out(message));
  const [, before, end] = replay(path, ...IPV6);
  assert.deepEqual(
    [before?.reason, end?.summary],
    ["dhcpv6.checksum", { pass: 1, drop: 1, reasons: { "dhcpv6.checksum": 1 }, offloads: 1 }],
  );
  assert.deepEqual(verdicts(replay(path, ...IPV6, "--offloads")), ["egress pass", "egress pass"]);
});
