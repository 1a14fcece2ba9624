/** A DISCOVER with option 80 may be answered with a lease at once (RFC 4039), so it waits as a REQUEST does (D2, finding G16). */
import { test } from "node:test";
import { ADDRESS, Bench, bytes, Client, GATEWAY, SECOND, Server } from "./support.ts";

const rapid = new Client({ xid: 7, options: [[80, bytes()]] });
const plain = new Client({ xid: 7 });
const server = new Server();
const ack = server.ack(rapid, ADDRESS, { options: [[80, bytes()]] });

test("G16 D2 nothing under its xid keeps the ACK to a DISCOVER with option 80 from binding", () => {
  const bench = new Bench();
  bench.passesOut(rapid.discover());
  bench.dropsOut("dhcp.pending", plain.discover(), plain.reboot("192.168.64.77"), plain.rebind("192.168.64.77"));
  bench.passesOut(rapid.discover());
  bench.passesIn(ack);
  bench.assertOnline();
});

test("G16 D2 nor does a RELEASE of the address that it has", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client({ xid: 5 }), server);
  bench.passesOut(rapid.discover());
  bench.dropsOut("dhcp.pending", plain.release(ADDRESS, GATEWAY));
  bench.passesIn(ack);
  bench.passesOut(plain.release(ADDRESS, GATEWAY));
});

test("a server without Rapid Commit offers, and the client goes on at once; one that hears nothing is free after 3 s", () => {
  const offered = new Bench();
  offered.passesOut(rapid.discover());
  offered.passesIn(server.offer(rapid, ADDRESS));
  offered.passesOut(plain.select(ADDRESS, GATEWAY));
  offered.passesIn(server.ack(plain, ADDRESS));
  offered.assertOnline();

  const silent = new Bench();
  silent.passesOut(rapid.discover());
  silent.wait(3 * SECOND + 1);
  silent.passesOut(plain.discover());
});
