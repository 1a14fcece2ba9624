/**
 * Breaks one of Apple's rules, named by the first argument, in a process of its own: node test/twin/misuse.ts NAME. When
 * the stand-in does not notice, the process ends with status 0 and the test that started it fails.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { type Apple, apple, awake, Packets, SHARED } from "./apple.ts";

const UTF8 = 0x08000100;

/** What each does wrong, and what the stand-in says then. */
export const MISUSES: Record<string, { says: RegExp; run: (twin: Apple) => unknown }> = {
  "descriptor not reset": {
    says: /vmnet_read: descriptor 0 .*not reset/,
    run: async ({ calls, control, running }) => {
      const interface_ = await running();
      const packets = new Packets(1);
      control.deliver(new Uint8Array(1514)); // of full size, so that the size itself betrays nothing
      calls.read(interface_, packets.descriptors, packets.count);
      calls.read(interface_, packets.descriptors, packets.count);
    },
  },
  "packet size not reset": {
    says: /descriptor 0 was not reset: its packet size is 60/,
    run: async ({ calls, running }) => {
      const interface_ = await running();
      const packets = new Packets(1).set(0, 60, 1514);
      calls.read(interface_, packets.descriptors, packets.count);
    },
  },
  "iov_len not reset": {
    says: /descriptor 0 was not reset: iov_len 60, packet size 1514/,
    run: async ({ calls, running }) => {
      const interface_ = await running();
      const packets = new Packets(1).set(0, 1514, 60);
      calls.read(interface_, packets.descriptors, packets.count);
    },
  },
  "iov_len of a written packet": {
    says: /vmnet_write: descriptor 0 has iov_len 1514, packet size 60/,
    run: async ({ calls, running }) => {
      const interface_ = await running();
      calls.write(interface_, new Packets(1).set(0, 60, 1514).descriptors, new Packets(1).count);
    },
  },
  "two iovecs": {
    says: /descriptor 0 has iovcnt 2 and not 1/,
    run: async ({ calls, running }) => {
      const interface_ = await running();
      calls.write(interface_, new Packets(1).set(0, 60, 60, 2).descriptors, new Packets(1).count);
    },
  },
  "flags set": {
    says: /descriptor 0 was not reset: its flags are 0x1/,
    run: async ({ calls, running }) => {
      const interface_ = await running();
      calls.write(interface_, new Packets(1).set(0, 60, 60, 1, 1).descriptors, new Packets(1).count);
    },
  },
  "two packets in the same memory": {
    says: /vmnet_read: descriptors 0 and 1 share memory/,
    run: async ({ calls, running }) => {
      const packets = new Packets(2).reset(1515);
      calls.read(await running(), packets.descriptors, packets.count);
    },
  },
  "too large a batch": {
    says: /vmnet_read of 257 packets, 256 are allowed/,
    run: async ({ calls, running }) => {
      const packets = new Packets(257);
      calls.read(await running(), packets.descriptors, packets.count);
    },
  },
  "too large a batch without limits": {
    says: /vmnet_write of 201 packets, 200 are allowed/,
    run: async ({ calls, control, running }) => {
      control.inject("omit packet limits", 1);
      const packets = new Packets(201).reset(60);
      calls.write(await running(), packets.descriptors, packets.count);
    },
  },
  "read of nothing": {
    says: /vmnet_read of 0 packets/,
    run: async ({ calls, running }) => {
      const packets = new Packets(1).reset(1514, 0);
      calls.read(await running(), packets.descriptors, packets.count);
    },
  },
  "read after stop": {
    says: /vmnet_read after the interface was stopped/,
    run: async ({ calls, running, stopped }) => {
      const interface_ = await running();
      await stopped(interface_);
      const packets = new Packets(1);
      calls.read(interface_, packets.descriptors, packets.count);
    },
  },
  "write while stopping": {
    says: /vmnet_write after vmnet_stop_interface/,
    run: async ({ calls, control, running, queue, status }) => {
      control.inject("stop delay", 60_000);
      const interface_ = await running();
      calls.stop(interface_, queue, status().block);
      const packets = new Packets(1).reset(60);
      calls.write(interface_, packets.descriptors, packets.count);
    },
  },
  "stop twice": {
    says: /vmnet_stop_interface after the interface was stopped/,
    run: async ({ running, stopped, calls, queue, status }) => {
      const interface_ = await running();
      await stopped(interface_);
      calls.stop(interface_, queue, status().block);
    },
  },
  "stop before the callback was cleared": {
    says: /vmnet_stop_interface before the event callback was cleared/,
    run: async ({ running, onEvent, calls, queue, status }) => {
      const interface_ = await running();
      onEvent(interface_, () => {});
      calls.stop(interface_, queue, status().block);
    },
  },
  "callback cleared with mask 0": {
    says: /vmnet_interface_set_event_callback with mask 0/,
    run: async ({ running, onEvent, calls }) => {
      const interface_ = await running();
      onEvent(interface_, () => {});
      calls.setEvent(interface_, 0, null, null);
    },
  },
  "use before the start handler": {
    says: /vmnet_read before the start handler came/,
    run: ({ calls, control, description, queue, block }) => {
      control.inject("start delay", 60_000);
      const type = koffi.proto("void Early(void *block, uint32_t status, void *parameters)");
      const interface_ = calls.start(
        description(),
        queue,
        block(type, () => {}),
      );
      const packets = new Packets(1);
      calls.read(interface_, packets.descriptors, packets.count);
    },
  },
  "use after a refused start": {
    says: /vmnet_interface_set_event_callback on an interface whose start was refused/,
    run: async ({ calls, control, description, started }) => {
      control.inject("start status", 1009);
      const { interface_ } = await started(description(), () => 0);
      calls.setEvent(interface_, 1, null, null);
    },
  },
  "a key spelled out": {
    says: /vmnet has no key "vmnet_enable_isolation"/,
    run: ({ description, started, calls }) =>
      started(
        description(SHARED, (dictionary) => {
          const text = koffi.alloc("char", 32);
          koffi.encode(text, "char", "vmnet_enable_isolation\0", 23);
          calls.setBool(dictionary, text, true);
        }),
        () => 0,
      ),
  },
  "a value of the wrong type": {
    says: /enable_isolation is a uint64 and not a bool/,
    run: ({ description, started, calls, key }) =>
      started(
        description(SHARED, (dictionary) => calls.setNumber(dictionary, key("enable_isolation"), 1)),
        () => 0,
      ),
  },
  "addresses incomplete": {
    says: /start_address, end_address and subnet_mask go together/,
    run: ({ description, started, calls, key }) =>
      started(
        description(SHARED, (dictionary) => calls.setString(dictionary, key("start_address"), "192.168.9.1")),
        () => 0,
      ),
  },
  "packet memory freed while the stop handler is pending": {
    says: /packet memory at 0x[0-9a-f]+ was freed before the stop handler/,
    run: async ({ calls, control, running, queue, status }) => {
      control.inject("stop delay", 50);
      const interface_ = await running();
      const packets = new Packets(4096, 1514); // large enough that free gives it back to the system
      packets.reset(1514, 256);
      calls.read(interface_, packets.descriptors, packets.count);
      const done = status();
      calls.stop(interface_, queue, done.block);
      koffi.free(packets.memory);
      await done.came;
    },
  },
  "block freed while its handler is pending": {
    says: /handler of vmnet_stop_interface is no block .*freed while it was pending/,
    run: async ({ calls, control, running, queue, status }) => {
      control.inject("stop delay", 50);
      const interface_ = await running();
      const done = status();
      calls.stop(interface_, queue, done.block);
      koffi.encode(done.block, "uint64_t", 0); // what free and the next allocation make of it
      await done.came;
    },
  },
  "block of the wrong isa": {
    says: /is no block \(its isa\)/,
    run: async ({ calls, running, queue, system, status }) => {
      const interface_ = await running();
      const { block } = status();
      koffi.encode(block, "uint64_t", koffi.decode(system.symbol("_NSConcreteGlobalBlock"), "uint64_t")); // dereferenced
      calls.stop(interface_, queue, block);
    },
  },
  "an XPC object after its last release": {
    says: /xpc_release was given an object after its last release/,
    run: ({ calls }) => {
      const dictionary = calls.createDictionary(null, null, 0);
      calls.releaseXpc(dictionary);
      calls.releaseXpc(dictionary);
    },
  },
  "a borrowed object released": {
    says: /after its last release/,
    run: ({ calls, key, description }) => {
      const dictionary = description();
      calls.releaseXpc(calls.getValue(dictionary, key("operation_mode")));
      calls.releaseXpc(dictionary);
    },
  },
  "an interface left running": {
    says: /leaked: 1 interface not stopped/,
    run: async ({ calls, control, queue, running }) => {
      control.inject("check leaks at exit", 1);
      await running();
      calls.releaseDispatch(queue);
    },
  },
  "an object left behind": {
    says: /leaked: 1 XPC object/,
    run: ({ calls, control, queue }) => {
      control.inject("check leaks at exit", 1);
      calls.releaseDispatch(queue);
      calls.createDictionary(null, null, 0);
    },
  },
  "a queue left behind": {
    says: /leaked: 1 dispatch queue/,
    run: ({ control }) => control.inject("check leaks at exit", 1),
  },
  "preferences written without the lock": {
    says: /SCPreferencesSetValue without the lock/,
    run: (twin) => {
      const { session, string } = preferences(twin);
      const setValue = twin.sc.func("bool SCPreferencesSetValue(void *session, void *key, void *value)");
      setValue(session, string("bootpd"), string("x"));
    },
  },
  "preferences committed without the lock": {
    says: /SCPreferencesCommitChanges without the lock/,
    run: (twin) => twin.sc.func("bool SCPreferencesCommitChanges(void *session)")(preferences(twin).session),
  },
  "preferences released with the lock": {
    says: /preferences were released with their lock held/,
    run: (twin) => {
      const { session } = preferences(twin);
      twin.sc.func("bool SCPreferencesLock(void *session, bool wait)")(session, true);
      twin.cf.func("void CFRelease(void *object)")(session);
    },
  },
  "a dictionary without callbacks": {
    says: /CFDictionaryCreate without the addresses of the two callback structures/,
    run: ({ cf }) => {
      const create = cf.func("void *CFDictionaryCreate(void *, void *, void *, long, void *, void *)");
      create(null, null, null, 0, null, null);
    },
  },
  "an immutable dictionary changed": {
    says: /CFDictionarySetValue on a dictionary that is not mutable/,
    run: (twin) => {
      const create = twin.cf.func("void *CFDictionaryCreate(void *, void *, void *, long, void *, void *)");
      const { string } = preferences(twin);
      const keys = twin.cf.symbol("kCFTypeDictionaryKeyCallBacks");
      const dictionary = create(null, null, null, 0, keys, twin.cf.symbol("kCFTypeDictionaryValueCallBacks"));
      twin.cf.func("void CFDictionarySetValue(void *, void *, void *)")(dictionary, string("a"), string("b"));
    },
  },
  "a batch header not reset": {
    says: /recvmsg_x: header 0 was not reset: .*datalen 60/,
    run: ({ system }) => {
      const fds = new Int32Array(2);
      system.func("int socketpair(int, int, int, int *)")(1, 2, 0, fds);
      const memory = koffi.alloc("uint8_t", 2048);
      const iovec = koffi.alloc("uint64_t", 2);
      koffi.encode(iovec, koffi.array("uint64_t", 2), [memory, 2048]);
      const header = koffi.alloc("uint8_t", 56);
      koffi.encode(header + 16n, "void *", iovec);
      koffi.encode(header + 24n, "int", 1);
      koffi.encode(header + 48n, "size_t", 60);
      system.func("long recvmsg_x(int, void *, uint32_t, int)")(fds[1], header, 1, 0x80);
    },
  },
  "Linux' O_NONBLOCK": {
    says: /fcntl F_SETFL 0x800: on Darwin O_NONBLOCK is 4/,
    run: ({ system }) => system.func("int fcntl(int, int, ...)")(1, 4, "int", 0x800),
  },
  "Linux' MSG_DONTWAIT": {
    says: /flag 0x40 on a datagram socket is MSG_WAITALL on Darwin/,
    run: ({ system }) => {
      const fds = new Int32Array(2);
      system.func("int socketpair(int, int, int, int *)")(1, 2, 0, fds);
      system.func("long recv(int, void *, size_t, int)")(fds[1], new Uint8Array(10), 10, 0x40);
    },
  },
  "a guest's text as format": {
    says: /syslog with the format "%n"/,
    run: ({ system }) => system.func("void syslog(int, const char *, ...)")(3, "%n", "str", "x"),
  },
  "the name of openlog freed": {
    says: /name given to openlog has changed or was freed/,
    run: ({ system }) => {
      const name = koffi.alloc("char", 8);
      koffi.encode(name, "char", "softnet\0", 8);
      system.func("void openlog(void *, int, int)")(name, 1, 24);
      koffi.encode(name, "char", "another\0", 8);
      system.func("void syslog(int, const char *, ...)")(3, "%s", "str", "x");
    },
  },
  "a function that the stand-in does not have": {
    says: /does not have sendto/,
    run: ({ system }) => system.func("long sendto(int, void *, size_t, int, void *, uint32_t)")(1, null, 0, 0, null, 0),
  },
  "Linux' sockaddr_un": {
    says: /bind: address family 0: on Darwin a length of 1 byte comes before it/,
    run: ({ system }) => {
      const fd = system.func("int socket(int, int, int)")(1, 1, 0);
      system.func("int bind(int, void *, uint32_t)")(fd, Buffer.from("\x01\0/no/such/folder/s\0"), 20);
    },
  },
  "a sockaddr_un with another length": {
    says: /connect: sun_len is 106, and the address has 20 bytes/,
    run: ({ system }) => {
      const fd = system.func("int socket(int, int, int)")(1, 1, 0);
      system.func("int connect(int, void *, uint32_t)")(fd, Buffer.from("\x6a\x01/no/such/folder/s\0"), 20);
    },
  },
  "Linux' SOCK_CLOEXEC": {
    says: /socket with type 0x80001: Darwin has no flags there/,
    run: ({ system }) => system.func("int socket(int, int, int)")(1, 0x80001, 0),
  },
  "poll for no event": {
    says: /poll for no event: Darwin then tells nothing/,
    run: ({ system }) => {
      const fds = new Int32Array(2);
      system.func("int socketpair(int, int, int, int *)")(1, 1, 0, fds);
      const asked = Buffer.alloc(8);
      asked.writeInt32LE(fds[0]!);
      system.func("int poll(void *, uint32_t, int)")(asked, 1, 0);
    },
  },
  "the network's own address as gateway": {
    says: /the address must be the gateway/,
    run: ({ vmnet }) => {
      const configuration = vmnet.func("void *vmnet_network_configuration_create(uint32_t, void *)")(SHARED, null);
      const set = vmnet.func("uint32_t vmnet_network_configuration_set_ipv4_subnet(void *, void *, void *)");
      set(configuration, new Uint8Array([192, 168, 9, 0]), new Uint8Array([255, 255, 255, 252]));
    },
  },
};

/** A session of preferences in a folder that goes with the process. */
function preferences({ cf, sc, control }: Apple) {
  const folder = mkdtempSync(join(tmpdir(), "softnet-twin-misuse-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  // The process may be ended by SIGABRT: then the one who started it removes the folder.
  process.stdout.write(`${folder}\n`);
  control.preferencesFolder(folder);
  const createString = cf.func("void *CFStringCreateWithCString(void *, const char *, uint32_t)");
  const string = (text: string): bigint => createString(null, text, UTF8);
  const create = sc.func("void *SCPreferencesCreate(void *, void *, void *)");
  return { session: create(null, string("softnet"), string("test.plist")) as bigint, string };
}

if (import.meta.main) {
  const misuse = MISUSES[process.argv[2] ?? ""];
  if (misuse === undefined) throw new Error(`no misuse "${process.argv[2]}"`);
  await awake(Promise.resolve(misuse.run(apple())));
}
