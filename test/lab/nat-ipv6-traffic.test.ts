/** What a VM with IPv6 behind nat meets in ordinary use, through the guard: DNS servers, refusals, smaller links, several addresses. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { natGuest } from "./harness/nat.ts";
import { ask, listen, NEEDS } from "./harness/nat-scenes.ts";
import { addresses, addressIn, guest6, INTERNET6, ping6, prefixOf, scene, uplinkOf } from "./harness/nat6.ts";
import { until } from "./harness/program.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { INTERNET, tool } from "./harness/topology.ts";

suite("traffic of a VM with IPv6 behind nat", { concurrency: 2 }, () => {
  test("DNS servers of softnet's advertisement are open at port 53 alone, in closed space, too", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const server = "fd99::53";
    lab.internet.ip("address", "add", `${server}/128`, "dev", "lo", "nodad");
    const guest = await natGuest(lab, ["--ipv6"], `${INTERNET},${server}`);
    await addressIn(guest, prefixOf(guest));
    for (const port of [53, 54]) await listen(lab, lab.internet, server, port);
    assert.equal(await ask(guest.namespace, server, 53), uplinkOf(lab));
    assert.match(await ask(guest.namespace, server, 54), /^no:/);
  });

  test("--reject: a closed destination is refused at once, TCP and others", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const guest = await guest6(lab, "--reject", "--block", `${INTERNET6}/128`);
    await addressIn(guest, prefixOf(guest));
    for (const address of [INTERNET6, "fd12::7"]) {
      assert.match(await ask(guest.namespace, address, 99), /^no: .*(refused|denied|prohibited)/i, address);
    }
    const { stdout } = await guest.namespace.run("ping", ["-6", "-c", "1", "-W", "2", INTERNET6]);
    assert.match(stdout, /prohibited/i);
  });

  test("a smaller MTU behind the host: Packet Too Big reaches the VM, which follows", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const guest = await guest6(lab);
    await addressIn(guest, prefixOf(guest));
    for (const end of [lab.host, lab.internet]) end.ip("link", "set", "up0", "mtu", "1400");
    const large = await guest.namespace.run("ping", ["-6", "-c", "5", "-i", "0.3", "-s", "1440", INTERNET6]);
    assert.match(large.stdout, / [1-9] received/);
    assert.match(guest.namespace.ip("-6", "route", "get", INTERNET6), /mtu 1400/);
  });

  test(
    "L11 UDP that a VM sends by IPv6 in segments, as QUIC does, arrives as datagrams, each whole and in order",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const guest = await guest6(lab);
      await addressIn(guest, prefixOf(guest));
      const segments = (...words: string[]) => [tool("segments.py"), ...words];
      const counter = lab.start(lab.internet, "/usr/bin/python3", segments("count", INTERNET6, "7000"));
      await counter.line(/^ready$/);
      const { code, stderr } = await guest.namespace.run(
        "/usr/bin/python3",
        segments("send", INTERNET6, "7000", "1200", "40"),
      );
      assert.equal(code, 0, stderr);
      await counter.line(/^got 1200 0027$/);
      const expected = Array.from({ length: 40 }, (_, index) => `got 1200 ${index.toString(16).padStart(4, "0")}`);
      assert.deepEqual(
        counter.stdout.filter((line) => line.startsWith("got")),
        expected,
      );
      assertInnocent(await guest.stop());
    },
  );

  test("temporary addresses: the internet is asked from one, and the VM has all of them", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const guest = await guest6(lab);
    guest.namespace.ip("link", "set", guest.link, "down");
    guest.namespace.sysctl({ [`net/ipv6/conf/${guest.link}/use_tempaddr`]: "2" });
    guest.namespace.ip("link", "set", guest.link, "up");
    await addressIn(guest, prefixOf(guest));
    await until("there are two addresses", () => addresses(guest.namespace, guest.link).length === 2);
    const source = / src (\S+)/.exec(guest.namespace.ip("-6", "route", "get", INTERNET6))?.[1];
    assert.doesNotMatch(String(source), /ff:fe/, "not a temporary address");
    await until("softnet knows it", () => guest.softnet!.records.some(({ address }) => address === source));
    assert.ok(await ping6(guest.namespace, INTERNET6));
    const other = addresses(guest.namespace, guest.link).find((address) => address !== source)!;
    const { stdout } = await guest.namespace.run("ping", ["-6", "-c", "3", "-W", "1", "-I", other, INTERNET6]);
    assert.match(stdout, / [1-9] received/);
  });
});
