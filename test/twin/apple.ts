/**
 * Apple's calls for the tests of the stand-ins, bound here a second time so that nothing depends on the product's own
 * bindings: a mistake in those must not hide one in these.
 */
import koffi from "koffi";
import { type TwinControl, type TwinLibraries, type TwinOptions, twinControl, twinLibraries } from "./build.ts";

export type Pointer = bigint | null;
/** A call that starts an interface: vmnet_start_interface, or one with a network. */
export type Start = (description: bigint, queue: bigint, handler: bigint) => bigint | null;

const START = koffi.proto("void TwinStartHandler(void *block, uint32_t status, void *parameters)");
const EVENT = koffi.proto("void TwinEventHandler(void *block, uint32_t mask, void *event)");
const DONE = koffi.proto("void TwinHandler(void *block, uint32_t status)");
const GLOBAL = 1 << 28;

export const HOST = 1000;
export const SHARED = 1001;

/** A batch of packet descriptors with their memory, as vmnet_read and vmnet_write take it. */
export class Packets {
  readonly descriptors: bigint;
  readonly count = koffi.alloc("int", 1);
  readonly #iovecs: bigint;
  readonly memory: bigint;
  readonly #room: number;
  readonly #size: number;

  constructor(room: number, size = 1514) {
    this.#room = room;
    this.#size = size;
    this.descriptors = koffi.alloc("uint8_t", 24 * room);
    this.#iovecs = koffi.alloc("uint8_t", 16 * room);
    this.memory = koffi.alloc("uint8_t", size * room);
    this.reset();
  }

  /** Sets every descriptor anew, for frames of this length. */
  reset(length = this.#size, count = this.#room): this {
    for (let i = 0; i < this.#room; i++) this.set(i, length, length);
    koffi.encode(this.count, "int", count);
    return this;
  }

  set(i: number, packetSize: number, iovecLength: number, iovecCount = 1, flags = 0): this {
    const descriptor = this.descriptors + BigInt(24 * i);
    const iovec = this.#iovecs + BigInt(16 * i);
    koffi.encode(iovec, "void *", this.memory + BigInt(i * this.#size));
    koffi.encode(iovec + 8n, "size_t", iovecLength);
    koffi.encode(descriptor, "size_t", packetSize);
    koffi.encode(descriptor + 8n, "void *", iovec);
    koffi.encode(descriptor + 16n, "uint32_t", iovecCount);
    koffi.encode(descriptor + 20n, "uint32_t", flags);
    return this;
  }

  /** Writes a frame into the memory of a packet. */
  put(i: number, frame: Uint8Array): this {
    this.bytes(i, frame.length).set(frame);
    return this;
  }

  /** How many packets the last call moved. */
  moved(): number {
    return koffi.decode(this.count, "int");
  }

  length(i: number): number {
    return Number(koffi.decode(this.descriptors + BigInt(24 * i), "size_t"));
  }

  bytes(i: number, length = this.length(i)): Uint8Array {
    return new Uint8Array(koffi.view(this.memory + BigInt(i * this.#size), length));
  }
}

/** The stand-ins, loaded: Apple's functions under their own names, and the test's controls. */
export function apple(options: TwinOptions = {}) {
  const libraries: TwinLibraries = twinLibraries(options);
  const control: TwinControl = twinControl(libraries);
  const system = koffi.load(libraries.system);
  const vmnet = koffi.load(libraries.vmnet);
  const cf = koffi.load(libraries.coreFoundation);
  const sc = koffi.load(libraries.systemConfiguration);

  const block = (type: ReturnType<typeof koffi.proto>, handler: (...given: never[]) => void): bigint => {
    const descriptor = koffi.alloc("uint64_t", 2);
    koffi.encode(descriptor, koffi.array("uint64_t", 2), [0, 32]);
    const literal = koffi.alloc("uint64_t", 4);
    koffi.encode(literal, "uint64_t", system.symbol("_NSConcreteGlobalBlock"));
    koffi.encode(literal + 8n, "int32_t", GLOBAL);
    koffi.encode(literal + 16n, "void *", koffi.register(handler, koffi.pointer(type)));
    koffi.encode(literal + 24n, "void *", descriptor);
    return literal;
  };

  const calls = {
    createQueue: system.func("void *dispatch_queue_create(const char *label, void *attributes)"),
    releaseDispatch: system.func("void dispatch_release(void *object)"),
    createDictionary: system.func("void *xpc_dictionary_create(void *keys, void *values, size_t count)"),
    setNumber: system.func("void xpc_dictionary_set_uint64(void *dictionary, void *key, uint64_t value)"),
    setBool: system.func("void xpc_dictionary_set_bool(void *dictionary, void *key, bool value)"),
    setString: system.func("void xpc_dictionary_set_string(void *dictionary, void *key, const char *text)"),
    getNumber: system.func("uint64_t xpc_dictionary_get_uint64(void *dictionary, void *key)"),
    getString: system.func("const char *xpc_dictionary_get_string(void *dictionary, void *key)"),
    getValue: system.func("void *xpc_dictionary_get_value(void *dictionary, void *key)"),
    releaseXpc: system.func("void xpc_release(void *object)"),
    start: vmnet.func("void *vmnet_start_interface(void *description, void *queue, void *handler)"),
    setEvent: vmnet.func(
      "uint32_t vmnet_interface_set_event_callback(void *interface, uint32_t mask, void *queue, void *handler)",
    ),
    read: vmnet.func("uint32_t vmnet_read(void *interface, void *packets, void *count)"),
    write: vmnet.func("uint32_t vmnet_write(void *interface, void *packets, void *count)"),
    stop: vmnet.func("uint32_t vmnet_stop_interface(void *interface, void *queue, void *handler)"),
  };

  /** The C string that a key's symbol points to. */
  const key = (name: string): Pointer => koffi.decode(vmnet.symbol(`vmnet_${name}_key`), "void *");
  const queue: bigint = calls.createQueue("twin test", null);

  const description = (mode = SHARED, more: (dictionary: bigint) => void = () => {}): bigint => {
    const dictionary = calls.createDictionary(null, null, 0);
    calls.setNumber(dictionary, key("operation_mode"), mode);
    more(dictionary);
    return dictionary;
  };

  /** Starts an interface; resolves when its handler came, with what `read` took from the parameters. */
  const started = async <T>(given: bigint, read: (parameters: bigint | null) => T, begin: Start = calls.start) => {
    let interface_: bigint | null = null;
    const answer = await new Promise<{ status: number; parameters: T }>((resolve) => {
      const handler = block(START, (_: bigint, status: number, parameters: bigint | null) =>
        resolve({ status, parameters: read(parameters) }),
      );
      interface_ = begin(given, queue, handler);
      calls.releaseXpc(given);
    });
    return { interface_: interface_ as unknown as bigint, ...answer };
  };

  /** A running interface in its plainest form. */
  const running = async (): Promise<bigint> => (await started(description(), () => 0)).interface_;

  const onEvent = (interface_: bigint, handler: (waiting: number) => void): number =>
    calls.setEvent(
      interface_,
      1,
      queue,
      block(EVENT, (_: bigint, __: number, event: bigint) =>
        handler(Number(calls.getNumber(event, key("estimated_packets_available")))),
      ),
    );

  /** A block of a handler that gets a status, and the status once it came. */
  const status = (): { block: bigint; came: Promise<number> } => {
    const { promise, resolve } = Promise.withResolvers<number>();
    return { block: block(DONE, (_: bigint, value: number) => resolve(value)), came: promise };
  };

  /** Stops in the right order; answers the handler's status. */
  const stopped = async (interface_: bigint): Promise<number> => {
    calls.setEvent(interface_, 1, null, null);
    const done = status();
    if (calls.stop(interface_, queue, done.block) !== 1000) throw new Error("vmnet_stop_interface was refused");
    return done.came;
  };

  return {
    ...{ libraries, control, system, vmnet, cf, sc, calls, key, queue, block, description },
    ...{ started, running, onEvent, status, stopped, DONE },
  };
}

export type Apple = ReturnType<typeof apple>;

/** koffi's callbacks keep no process alive: this does, while the test waits for them. */
export async function awake<T>(wait: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 1000);
  try {
    return await wait;
  } finally {
    clearInterval(timer);
  }
}
