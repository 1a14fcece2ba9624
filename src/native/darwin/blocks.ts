/**
 * Blocks, Apple's closures in C (clang, Block-ABI-Apple): what vmnet is handed as a handler. A block is a structure with
 * a function pointer; the function gets the block itself as its first argument.
 *
 * - All are "global" blocks: copying one returns the same pointer and releasing one does nothing, so that whoever keeps
 *   it keeps this memory. It is never given back, because a handler may come late, after everything has ended.
 * - One foreign function serves all blocks of a kind, and finds what to call by the block's address. A handler that
 *   runs once gives its block to the next one that wants such a block.
 * - Handlers come on threads of Apple's. koffi hands them to the event loop, and that thread waits until they have run:
 *   to wait for a handler while the event loop stands still is a deadlock. They do not keep the event loop alive.
 */

import koffi from "koffi";
import { allocate } from "../memory.ts";
import { throwLater } from "../throw-later.ts";
import { LIBSYSTEM } from "./libc.ts";

/** The literal: isa, flags, reserved, function, descriptor; the descriptor: reserved, size of the literal. */
export const BLOCK = { size: 32, isa: 0, flags: 8, invoke: 16, descriptor: 24 } as const;
export const BLOCK_DESCRIPTOR = { size: 16, literalSize: 8 } as const;
const BLOCK_IS_GLOBAL = 1 << 28;

/** What a handler gets behind the block: a number, and the address of an object, 0 for none (or where there is none). */
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

  /** A block whose handler runs once, or never. */
  once(shape: Shape, handler: Handler): number {
    const block = this.#unused.get(shape)?.pop() ?? this.#make(shape);
    this.#handlers.set(block, (value, object) => {
      this.takeBack(shape, block);
      handler(value, object);
    });
    return block;
  }

  /** Of `once`: its handler will never run, because the call that it was for was refused. */
  takeBack(shape: Shape, block: number): void {
    this.#handlers.delete(block);
    const unused = this.#unused.get(shape);
    if (unused === undefined) this.#unused.set(shape, [block]);
    else unused.push(block);
  }

  /** Ends a block: should it be called once more, nothing happens. */
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
