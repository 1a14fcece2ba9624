/** The injections that the other files do not need: parameters, delays, rights, handlers that never come. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import koffi from "koffi";
import { needsRoot } from "../support/tools.ts";
import { apple, awake, Packets, SHARED } from "./apple.ts";
import { needsTwin } from "./build.ts";

const NOBODY = 65_534;
const ADD_RULE =
  "uint32_t vmnet_interface_add_ip_port_forwarding_rule(void *, uint8_t, uint16_t, uint8_t, void *, uint16_t, void *)";

test("every injection and every counter is told in twin.h", () => {
  const read = (name: string): string => readFileSync(join(import.meta.dirname, name), "utf8");
  const code = read("control.c");
  const names = ["KNOB_NAMES", "COUNTER_NAMES"].flatMap((list) => {
    const start = code.indexOf(`${list}[`);
    return [...code.slice(start, code.indexOf("};", start)).matchAll(/"([^"]+)"/g)].map(([, name]) => name!);
  });
  ok(names.length > 60);
  const header = read("twin.h");
  deepEqual(
    names.filter((name) => !header.includes(`"${name}"`)),
    [],
  );
});

test("parameters and limits are what a test says", needsTwin(), () =>
  awake(
    (async () => {
      const { control, started, stopped, description, calls, key } = apple();
      const first = { mtu: 1500, "max packet size": 1514, "read limit": 256, "write limit": 256 };
      const other = { mtu: 9000, "max packet size": 9014, "read limit": 32, "write limit": 16 };
      for (const [what, value] of Object.entries(other)) control.inject(what, value);
      const { interface_, parameters } = await started(description(), (answer) =>
        ["mtu", "max_packet_size", "read_max_packets", "write_max_packets"].map((name) =>
          Number(calls.getNumber(answer, key(name))),
        ),
      );
      for (const [what, value] of Object.entries(first)) control.inject(what, value);
      deepEqual(parameters, Object.values(other));
      control.deliver(new Uint8Array(9014).fill(9));
      const packets = new Packets(1, 9014);
      equal(calls.read(interface_, packets.descriptors, packets.count), 1000);
      equal(packets.length(0), 9014);
      await stopped(interface_);
    })(),
  ),
);

test("limits that are left out read as 0", needsTwin(), () =>
  awake(
    (async () => {
      const { control, started, stopped, description, calls, key } = apple();
      control.inject("omit packet limits", 1);
      const { interface_, parameters } = await started(description(), (answer) =>
        Number(calls.getNumber(answer, key("read_max_packets"))),
      );
      control.inject("omit packet limits", 0);
      equal(parameters, 0);
      await stopped(interface_);
    })(),
  ),
);

test("handlers come late when a test says so, of a rule even after the stop", needsTwin(), () =>
  awake(
    (async () => {
      const { control, running, stopped, status, vmnet } = apple();
      control.inject("start delay", 30);
      const since = performance.now();
      const interface_ = await running();
      ok(performance.now() - since >= 29);
      control.inject("start delay", 0);
      control.inject("rule delay", 1500);
      const done = status();
      const address = new Uint8Array([192, 168, 64, 2]);
      equal(vmnet.func(ADD_RULE)(interface_, 6, 2222, 2, address, 22, done.block), 1000);
      let came = false;
      done.came.then(() => {
        came = true;
      });
      await stopped(interface_);
      equal(came, false);
      equal(await done.came, 1000);
      control.inject("rule delay", 0);
    })(),
  ),
);

test("a stop handler never comes, and memory stays unfilled, when a test says so", needsTwin(), () =>
  awake(
    (async () => {
      const { control, running, calls, queue, status, stopped } = apple();
      control.inject("fill at stop", 0);
      const filled = await running();
      const packets = new Packets(1).put(0, new Uint8Array(1514).fill(7));
      calls.read(filled, packets.descriptors, packets.count);
      await stopped(filled);
      deepEqual(packets.bytes(0, 1514), new Uint8Array(1514).fill(7));
      control.inject("fill at stop", 1);
      control.inject("lost stop", 1);
      const before = control.held();
      const interface_ = await running();
      const done = status();
      equal(calls.stop(interface_, queue, done.block), 1000);
      let came = false;
      done.came.then(() => {
        came = true;
      });
      while (control.held() > before) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, 30));
      equal(came, false);
    })(),
  ),
);

test("without root a start is refused, but with the entitlement on macOS 26", { ...needsRoot(), ...needsTwin() }, () =>
  awake(
    (async () => {
      const [old, fresh] = [apple({ macos: 15 }), apple()];
      const start = async (twin: typeof old): Promise<number> => {
        const { status, interface_ } = await twin.started(twin.description(), () => 0);
        if (status === 1000) await twin.stopped(interface_);
        return status;
      };
      const configure = fresh.vmnet.func("void *vmnet_network_configuration_create(uint32_t, void *)");
      const create = fresh.vmnet.func("void *vmnet_network_create(void *, void *)");
      const release = fresh.cf.func("void CFRelease(void *)");
      const network = (): number => {
        const configuration = configure(SHARED, null);
        const status = new Uint32Array(1);
        const made = create(configuration, status);
        for (const object of [made, configuration]) if (object !== null) release(object);
        return status[0]!;
      };
      process.seteuid?.(NOBODY);
      try {
        deepEqual([await start(old), await start(fresh), network()], [1001, 1001, 1002]);
        fresh.control.inject("entitled", 1);
        deepEqual([await start(old), await start(fresh), network()], [1001, 1000, 1000]);
      } finally {
        process.seteuid?.(0);
        fresh.control.inject("entitled", 0);
      }
    })(),
  ),
);

test("configurations fail, and classic rules on a network work, when a test says so", needsTwin(), () =>
  awake(
    (async () => {
      const { control, vmnet, cf, calls, started, stopped, status } = apple();
      const configure = vmnet.func("void *vmnet_network_configuration_create(uint32_t, void *)");
      const setMtu = vmnet.func("uint32_t vmnet_network_configuration_set_mtu(void *, uint32_t)");
      const create = vmnet.func("void *vmnet_network_create(void *, void *)");
      const startWith = vmnet.func("void *vmnet_interface_start_with_network(void *, void *, void *, void *)");
      const release = cf.func("void CFRelease(void *)");
      const code = new Uint32Array(1);
      control.inject("configuration status", 1010);
      deepEqual([configure(SHARED, code), code[0]], [null, 1010]);
      control.inject("configuration status", 0);
      const configuration = configure(SHARED, code);
      control.inject("configuration call", 1003);
      deepEqual([setMtu(configuration, 1500), setMtu(configuration, 1400)], [1003, 1000]);
      const network = create(configuration, code);
      control.inject("rules on networks", 1);
      const { interface_ } = await started(
        calls.createDictionary(null, null, 0),
        () => 0,
        (given, queue, handler) => startWith(network, given, queue, handler),
      );
      const done = status();
      const address = new Uint8Array([192, 168, 64, 2]);
      equal(vmnet.func(ADD_RULE)(interface_, 17, 5353, 2, address, 53, done.block), 1000);
      equal(await done.came, 1000);
      control.inject("rules on networks", 0);
      await stopped(interface_);
      release(network);
      release(configuration);
      equal(control.count("rules"), 0);
    })(),
  ),
);

test("batches are cut to the kernel's limit, which sysctl tells", needsTwin(), () => {
  const { system, control } = apple();
  control.inject("batch limit", 100);
  const sysctl = system.func("int sysctlbyname(const char *name, void *old, void *length, void *new, size_t size)");
  const limit = new Uint32Array(1);
  equal(sysctl("kern.ipc.maxrecvmsgx", limit, new BigUint64Array([4n]), null, 0), 0);
  equal(limit[0], 100);
  const fds = new Int32Array(2);
  equal(system.func("int socketpair(int, int, int, int *)")(1, 2, 0, fds), 0);
  const headers = koffi.alloc("uint8_t", 56 * 128);
  const [iovec, memory] = [koffi.alloc("uint64_t", 2), koffi.alloc("uint8_t", 60)];
  koffi.encode(iovec, koffi.array("uint64_t", 2), [memory, 60]);
  for (let i = 0; i < 128; i++) {
    koffi.encode(headers + BigInt(56 * i + 16), "void *", iovec);
    koffi.encode(headers + BigInt(56 * i + 24), "int", 1);
  }
  equal(Number(system.func("long sendmsg_x(int, void *, uint32_t, int)")(fds[0], headers, 128, 0x80)), 100);
  equal(Number(system.func("long recvmsg_x(int, void *, uint32_t, int)")(fds[1], headers, 128, 0x80)), 100);
  control.inject("batch limit", 256);
  for (const fd of fds) koffi.load(null).func("int close(int)")(fd);
});
