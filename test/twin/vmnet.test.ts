/** The stand-in for vmnet: what a caller that keeps Apple's rules gets, and each failure that a test can order. */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import koffi from "koffi";
import { type Apple, apple, awake, HOST, Packets, SHARED } from "./apple.ts";
import { needsTwin, twinLibraries } from "./build.ts";

const frame = (length: number, fill = 1): Uint8Array => new Uint8Array(length).fill(fill);

/** A test with its own running interface, stopped at the end. */
function withInterface(name: string, run: (twin: Apple, interface_: bigint) => unknown): void {
  test(name, needsTwin(), () =>
    awake(
      (async () => {
        const twin = apple();
        const interface_ = await twin.running();
        try {
          await run(twin, interface_);
        } finally {
          equal(await twin.stopped(interface_), 1000);
        }
      })(),
    ),
  );
}

/** Resolves once the check holds; the check is asked again in a while. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a shared interface reports vmnet's parameters", needsTwin(), () =>
  awake(
    (async () => {
      const { started, stopped, description, calls, key, control } = apple();
      const given = description(SHARED, (dictionary) => calls.setBool(dictionary, key("enable_isolation"), true));
      const { interface_, status, parameters } = await started(given, (answer) => ({
        gateway: calls.getString(answer, key("start_address")),
        end: calls.getString(answer, key("end_address")),
        mask: calls.getString(answer, key("subnet_mask")),
        mtu: calls.getNumber(answer, key("mtu")),
        largest: calls.getNumber(answer, key("max_packet_size")),
        readLimit: calls.getNumber(answer, key("read_max_packets")),
        mac: calls.getString(answer, key("mac_address")).length,
      }));
      equal(status, 1000);
      deepEqual(parameters, {
        ...{ gateway: "192.168.64.1", end: "192.168.64.254", mask: "255.255.255.0" },
        ...{ mtu: 1500, largest: 1514, readLimit: 256, mac: 17 },
      });
      deepEqual(control.describe("start"), { operation_mode: SHARED, enable_isolation: true });
      await stopped(interface_);
    })(),
  ),
);

test("a host interface takes the addresses of its description", needsTwin(), () =>
  awake(
    (async () => {
      const { started, stopped, description, calls, key } = apple();
      const given = description(HOST, (dictionary) => {
        calls.setString(dictionary, key("start_address"), "10.1.2.1");
        calls.setString(dictionary, key("end_address"), "10.1.2.6");
        calls.setString(dictionary, key("subnet_mask"), "255.255.255.248");
      });
      const { interface_, parameters } = await started(given, (answer) =>
        calls.getString(answer, key("start_address")),
      );
      equal(parameters, "10.1.2.1");
      await stopped(interface_);
    })(),
  ),
);

test("older systems lack what came later", needsTwin(), () =>
  awake(
    (async () => {
      const has = (twin: Apple, name: string): boolean => {
        try {
          twin.vmnet.symbol(name);
          return true;
        } catch {
          return false;
        }
      };
      const names = [
        ...["vmnet_interface_add_ip_port_forwarding_rule", "vmnet_read_max_packets_key", "vmnet_network_create"],
        "vmnet_interface_add_port_forwarding_rule",
      ];
      const twins = ([11, 14, 15, 26] as const).map((macos) => apple({ macos }));
      const found = twins.map((twin) => names.map((name) => has(twin, name)));
      deepEqual(found, [
        [false, false, false, true],
        [true, false, false, true],
        [true, true, false, true],
        [true, true, true, true],
      ]);
      // Without the limits, 200 packets are allowed: the 201st is a broken rule (rules.test.ts).
      const [, older] = twins;
      const interface_ = await older!.running();
      const packets = new Packets(200).reset(60);
      equal(older!.calls.write(interface_, packets.descriptors, packets.count), 1000);
      await older!.stopped(interface_);
    })(),
  ),
);

test("a start is refused with any status, by the handler or at once", needsTwin(), () =>
  awake(
    (async () => {
      const { started, description, control, calls, queue, block } = apple();
      control.inject("start status", 1009);
      const refused = await started(description(), (answer) => answer);
      deepEqual([refused.status, refused.parameters], [1009, null]);
      control.inject("start status", 0);
      control.inject("start null", 1);
      const given = description();
      const handler = block(koffi.proto("void Unused(void *, uint32_t, void *)"), () => ok(false, "called"));
      equal(calls.start(given, queue, handler), null);
      calls.releaseXpc(given);
      const invalid = await started(description(4), (answer) => answer);
      equal(invalid.status, 1003);
    })(),
  ),
);

withInterface("frames arrive in order, with an event first", async ({ control, calls, onEvent }, interface_) => {
  const event = Promise.withResolvers<number>();
  equal(onEvent(interface_, event.resolve), 1000);
  for (const fill of [1, 2, 3]) equal(control.deliver(frame(60 + fill, fill)), true);
  ok((await event.promise) >= 1);
  const packets = new Packets(8);
  equal(calls.read(interface_, packets.descriptors, packets.count), 1000);
  equal(packets.moved(), 3);
  deepEqual(
    [0, 1, 2].map((i) => packets.bytes(i)),
    [frame(61, 1), frame(62, 2), frame(63, 3)],
  );
  equal(calls.read(interface_, packets.reset().descriptors, packets.count), 1000);
  equal(packets.moved(), 0);
});

withInterface("an event comes again only after a read that found nothing", async (twin, interface_) => {
  const { control, calls, onEvent } = twin;
  control.inject("empty every", 0);
  let events = 0;
  onEvent(interface_, () => events++);
  control.deliver(frame(60));
  await until(() => events === 1);
  const packets = new Packets(1);
  control.deliver(frame(60));
  calls.read(interface_, packets.descriptors, packets.count); // one of two: nothing was found empty
  control.deliver(frame(60));
  await new Promise((resolve) => setTimeout(resolve, 50));
  equal(events, 1);
  do calls.read(interface_, packets.reset().descriptors, packets.count);
  while (packets.moved() > 0);
  control.deliver(frame(60));
  await until(() => events === 2);
  control.inject("empty every", 8);
});

withInterface("events come in storms and with nothing to read", async ({ control, calls, onEvent }, interface_) => {
  const events: number[] = [];
  onEvent(interface_, (waiting) => events.push(waiting));
  control.inject("event storm", 20);
  control.deliver(frame(60));
  await until(() => events.length === 20);
  control.fire(3);
  await until(() => events.length === 23);
  const packets = new Packets(4);
  calls.read(interface_, packets.descriptors, packets.count);
  events.length = 0;
  control.inject("empty every", 1);
  calls.read(interface_, packets.reset().descriptors, packets.count);
  await until(() => events.length === 1);
  deepEqual(events, [0]);
  control.inject("empty every", 8);
});

withInterface("writes go out whole, are refused whole, or in part when a test says so", (twin, interface_) => {
  const { control, calls } = twin;
  const write = (length: number, count = 3): [number, number] => {
    const packets = new Packets(3, 2048).reset(length, count);
    return [calls.write(interface_, packets.descriptors, packets.count), packets.moved()];
  };
  deepEqual(write(60), [1000, 3]);
  deepEqual(
    [control.take()?.length, control.take()?.length, control.take()?.length, control.take()],
    [60, 60, 60, undefined],
  );
  deepEqual(write(13), [1003, 0]);
  deepEqual(write(1515), [1006, 0]);
  control.inject("write exhausted", 2);
  deepEqual(
    [write(60), write(60), write(60)],
    [
      [1007, 0],
      [1007, 0],
      [1000, 3],
    ],
  );
  control.inject("write partial", 2);
  deepEqual(
    [write(60), write(60)],
    [
      [1000, 2],
      [1000, 3],
    ],
  );
  control.inject("write cap", 1);
  deepEqual(write(60), [1000, 1]);
  control.inject("write cap", 0);
  control.inject("write status", 1001);
  deepEqual(
    [write(60), write(60)],
    [
      [1001, 0],
      [1000, 3],
    ],
  );
  control.inject("byte limit", 100);
  deepEqual(write(60), [1008, 0]);
  control.inject("byte limit", 0);
});

withInterface("reads fail or come in small portions when a test says so", ({ control, calls }, interface_) => {
  for (let i = 0; i < 4; i++) control.deliver(frame(60));
  const packets = new Packets(4);
  const read = (): [number, number] => [
    calls.read(interface_, packets.reset().descriptors, packets.count),
    packets.moved(),
  ];
  control.inject("read status", 1001);
  deepEqual(read(), [1001, 0]);
  control.inject("read cap", 3);
  deepEqual(
    [read(), read(), read()],
    [
      [1000, 3],
      [1000, 1],
      [1000, 0],
    ],
  );
  control.inject("read cap", 0);
});

test("a full ring drops what comes", needsTwin(), () =>
  awake(
    (async () => {
      const { control, running, stopped } = apple();
      control.inject("receive ring", 2);
      const interface_ = await running();
      control.inject("receive ring", 1024);
      deepEqual(
        [1, 2, 3].map(() => control.deliver(frame(60))),
        [true, true, false],
      );
      equal(control.count("dropped frames"), 1);
      await stopped(interface_);
    })(),
  ),
);

test("a late event comes between clearing and stop, or after the stop, when a test says so", needsTwin(), () =>
  awake(
    (async () => {
      const { control, running, onEvent, stopped } = apple();
      for (const what of ["late event", "event after stop"]) {
        const interface_ = await running();
        let events = 0;
        onEvent(interface_, () => events++);
        control.inject(what, 1);
        equal(await stopped(interface_), 1000);
        if (what === "late event") equal(events, 1);
        await until(() => events === 1);
      }
    })(),
  ),
);

test("a stop is slow, fails in its handler, or is refused when a test says so", needsTwin(), () =>
  awake(
    (async () => {
      const { control, running, calls, queue, status, stopped } = apple();
      control.inject("stop handler status", 1001);
      control.inject("stop delay", 30);
      const since = performance.now();
      equal(await stopped(await running()), 1001);
      ok(performance.now() - since >= 29);
      control.inject("stop handler status", 0);
      control.inject("stop delay", 0);
      control.inject("stop status", 1);
      equal(calls.stop(await running(), queue, status().block), 1001);
    })(),
  ),
);

test("packet memory holds the pattern when the stop handler comes", needsTwin(), () =>
  awake(
    (async () => {
      const { running, calls, stopped } = apple();
      const interface_ = await running();
      const packets = new Packets(2);
      calls.read(interface_, packets.descriptors, packets.count);
      await stopped(interface_);
      deepEqual(packets.bytes(1, 1514), frame(1514, 0xa5));
    })(),
  ),
);

withInterface(
  "port forwarding rules are added once, removed once, refused when a test says so",
  async (twin, interface_) => {
    const { vmnet, control, status } = twin;
    const add = vmnet.func(
      "uint32_t vmnet_interface_add_ip_port_forwarding_rule(void *, uint8_t, uint16_t, uint8_t, void *, uint16_t, void *)",
    );
    const remove = vmnet.func(
      "uint32_t vmnet_interface_remove_ip_port_forwarding_rule(void *, uint8_t, uint16_t, uint8_t, void *)",
    );
    const address = new Uint8Array([192, 168, 64, 2]);
    const adding = async (external = 2222, protocol = 6): Promise<[number, number]> => {
      const done = status();
      const now = add(interface_, protocol, external, 2, address, 22, done.block);
      return [now, now === 1000 ? await done.came : 0];
    };
    deepEqual(await adding(), [1000, 1000]);
    deepEqual(control.describe("rules"), [
      { protocol: 6, externalPort: 2222, internalAddress: "192.168.64.2", internalPort: 22 },
    ]);
    deepEqual(await adding(), [1000, 1001]);
    deepEqual(await adding(2223, 1), [1003, 0]);
    control.inject("rule status", 1001);
    deepEqual(await adding(2224), [1000, 1001]);
    control.inject("rule status", 0);
    control.inject("rule refused", 1005);
    deepEqual(await adding(2225), [1005, 0]);
    control.inject("rule refused", 0);
    equal(control.count("rules"), 1);
    for (const expected of [1000, 1001]) {
      const done = status();
      equal(remove(interface_, 6, 2222, 2, done.block), 1000);
      equal(await done.came, expected);
    }
    equal(control.count("rules"), 0);
  },
);

test("the classic forwarding pair works where the newer calls are missing", needsTwin(), () =>
  awake(
    (async () => {
      const twin = apple({ macos: 11 });
      const interface_ = await twin.running();
      // A struct in_addr by value, in network order.
      const address = koffi.struct({ s_addr: "uint32_t" });
      const add = twin.vmnet.func("vmnet_interface_add_port_forwarding_rule", "uint32_t", [
        ...["void *", "uint8_t", "uint16_t"],
        address,
        ...["uint16_t", "void *"],
      ]);
      const done = twin.status();
      equal(add(interface_, 6, 8080, { s_addr: 0x0240a8c0 }, 80, done.block), 1000);
      equal(await done.came, 1000);
      deepEqual(twin.control.describe("rules"), [
        { protocol: 6, externalPort: 8080, internalAddress: "192.168.64.2", internalPort: 80 },
      ]);
      await twin.stopped(interface_);
      equal(twin.control.count("rules"), 0); // rules go with their interface
    })(),
  ),
);

test("a network of macOS 26 carries an interface, a reservation and rules", needsTwin(), () =>
  awake(
    (async () => {
      const twin = apple();
      const { vmnet, cf, control, calls, key } = twin;
      const release = cf.func("void CFRelease(void *)");
      const create = vmnet.func("void *vmnet_network_configuration_create(uint32_t, void *)");
      const setSubnet = vmnet.func("uint32_t vmnet_network_configuration_set_ipv4_subnet(void *, void *, void *)");
      const reserve = vmnet.func("uint32_t vmnet_network_configuration_add_dhcp_reservation(void *, void *, void *)");
      const rule = vmnet.func(
        "uint32_t vmnet_network_configuration_add_port_forwarding_rule(void *, uint8_t, uint8_t, uint16_t, uint16_t, void *)",
      );
      const disableDhcp = vmnet.func("void vmnet_network_configuration_disable_dhcp(void *)");
      const createNetwork = vmnet.func("void *vmnet_network_create(void *, void *)");
      const startWith = vmnet.func("void *vmnet_interface_start_with_network(void *, void *, void *, void *)");
      const status = new Uint32Array(1);

      const configuration = create(SHARED, status);
      equal(status[0], 1000);
      equal(setSubnet(configuration, new Uint8Array([10, 9, 8, 5]), new Uint8Array([255, 255, 255, 252])), 1000);
      const client = new Uint8Array([2, 0, 0, 0, 0, 17]);
      equal(reserve(configuration, client, new Uint8Array([10, 9, 8, 6])), 1000);
      equal(reserve(configuration, client, new Uint8Array([10, 9, 9, 6])), 1003); // outside of the subnet
      equal(rule(configuration, 6, 2, 22, 2222, new Uint8Array([10, 9, 8, 6])), 1000);
      disableDhcp(configuration);

      control.inject("network status", 1002);
      equal(createNetwork(configuration, status), null);
      equal(status[0], 1002);
      control.inject("network status", 0);
      const network = createNetwork(configuration, status);
      deepEqual([network !== null, status[0]], [true, 1000]);
      deepEqual(control.describe("network"), {
        ...{ mode: SHARED, gateway: "10.9.8.5", mask: "255.255.255.252", mtu: 1500, dhcp: false, dnsProxy: true },
        ...{ nat44: true, nat66: true, routerAdvertisement: true, externalInterface: "" },
        reservations: [{ client: "02:00:00:00:00:11", address: "10.9.8.6" }],
        rules: [{ protocol: 6, externalPort: 2222, internalAddress: "10.9.8.6", internalPort: 22 }],
      });
      equal(createNetwork(configuration, status), null); // it overlaps
      equal(status[0], 1001);

      const { interface_, parameters } = await twin.started(
        calls.createDictionary(null, null, 0),
        (answer) => calls.getString(answer, key("start_address")),
        (given: bigint, queue: bigint, handler: bigint) => startWith(network, given, queue, handler),
      );
      equal(parameters, "10.9.8.5");
      const add = vmnet.func(
        "uint32_t vmnet_interface_add_ip_port_forwarding_rule(void *, uint8_t, uint16_t, uint8_t, void *, uint16_t, void *)",
      );
      equal(add(interface_, 6, 2223, 2, new Uint8Array([10, 9, 8, 6]), 22, null), 1001); // classic rules: refused at once
      release(network);
      equal(control.count("networks"), 1); // the interface holds it
      await twin.stopped(interface_);
      release(configuration);
      deepEqual([control.count("networks"), control.count("rules")], [0, 0]);
    })(),
  ),
);

test("nothing is held once everything was released", needsTwin(), () =>
  awake(
    (async () => {
      const twin = apple();
      const before = twin.control.held(); // what the tests above hold: their queues
      const interface_ = await twin.running();
      twin.onEvent(interface_, () => {});
      twin.control.deliver(frame(60));
      notEqual(twin.control.held(), before);
      await twin.stopped(interface_);
      twin.calls.releaseDispatch(twin.queue);
      await until(() => twin.control.held() === before - 1);
    })(),
  ),
);

test("a process may end in its stop handler and leaks nothing", needsTwin(), () => {
  twinLibraries();
  const script = join(import.meta.dirname, "ending.ts");
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  deepEqual([status, stderr], [0, ""]);
});
