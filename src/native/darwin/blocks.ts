/**
 * Blocks, Apple's closures in C (clang, Block-ABI-Apple): vmnet takes its handlers as blocks. A block is a structure
 * with a function pointer; the function gets the block itself as its first argument.
 *
 * - All are "global" blocks: copying one returns the same pointer and releasing one does nothing, so a copy refers to
 *   this memory. The memory is not freed, because a handler may be called late, after everything has ended.
 * - One foreign function serves all blocks of a kind, and finds the handler by the block's address. The block of a
 *   handler that runs once is reused afterwards.
 * - Handlers are called on Apple's threads. koffi runs them in the event loop, and the thread waits until they have
 *   run: waiting for a handler without returning to the event loop is a deadlock. They do not keep the event loop
 *   alive.
 */

import koffi from "koffi";
import { allocate } from "../memory.ts";
import { throwLater } from "../throw-later.ts";
import { LIBSYSTEM } from "./libc.ts";

/** The literal: isa, flags, reserved, function, descriptor; the descriptor: reserved, size of the literal. */
export const BLOCK = { size: 32, isa: 0, flags: 8, invoke: 16, descriptor: 24 } as const;
export const BLOCK_DESCRIPTOR = { size: 16, literalSize: 8 } as const;
const BLOCK_IS_GLOBAL = 1 << 28;

/** A handler's arguments after the block: a number, and the address of an object, 0 for none. */
export type Handler = (value: number, object: number) => void;

/** The kinds of handlers. */
export type Shape = "value" | "value and object";

const PROTOTYPES: Readonly<Record<Shape, string>> = {
  value: "void (uintptr_t block, uint32_t value)",
  "value and object": "void (uintptr_t block, uint32_t value, uintptr_t object)",
};

export class Blocks {
  readonly #isa: bigint;
  readonly #functions = new Map<Shape, bigint>();
  readonly #handlers = new Map<number, Handler>();
  readonly #unused = new Map<Shape, number[]>();

  /** Throws when there is no such library. */
  constructor(path: string = LIBSYSTEM) {
    this.#isa = koffi.load(path).symbol("_NSConcreteGlobalBlock") as bigint;
  }

  /** A block whose handler may run any number of times; returns its address. The handler must not throw. */
  lasting(shape: Shape, handler: Handler): number {
    const block = this.#make(shape);
    this.#handlers.set(block, handler);
    return block;
  }

  /** A block whose handler runs at most once. */
  once(shape: Shape, handler: Handler): number {
    const block = this.#unused.get(shape)?.pop() ?? this.#make(shape);
    this.#handlers.set(block, (value, object) => {
      this.takeBack(shape, block);
      handler(value, object);
    });
    return block;
  }

  /** Frees a block of `once` whose handler will not run, because the call that it was for failed. */
  takeBack(shape: Shape, block: number): void {
    this.#handlers.delete(block);
    const unused = this.#unused.get(shape);
    if (unused === undefined) this.#unused.set(shape, [block]);
    else unused.push(block);
  }

  /** Ends a block: a later call of it does nothing. */
  end(block: number): void {
    this.#handlers.delete(block);
  }

  #make(shape: Shape): number {
    const { bytes, address } = allocate(BLOCK.size + BLOCK_DESCRIPTOR.size);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setBigUint64(BLOCK.isa, this.#isa, true);
    view.setInt32(BLOCK.flags, BLOCK_IS_GLOBAL, true);
    view.setBigUint64(BLOCK.invoke, this.#function(shape), true);
    view.setBigUint64(BLOCK.descriptor, BigInt(address + BLOCK.size), true);
    view.setBigUint64(BLOCK.size + BLOCK_DESCRIPTOR.literalSize, BigInt(BLOCK.size), true);
    return address;
  }

  #function(shape: Shape): bigint {
    const found = this.#functions.get(shape);
    if (found !== undefined) return found;
    const call = (block: number, value: number, object = 0): void => {
      try {
        this.#handlers.get(block)?.(value, object);
      } catch (error) {
        throwLater(error);
      }
    };
    const made = koffi.register(call, koffi.pointer(koffi.proto(PROTOTYPES[shape]))) as unknown as bigint;
    this.#functions.set(shape, made);
    return made;
  }
}
