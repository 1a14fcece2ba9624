/**
 * XPC dictionaries: the parameters and results of vmnet's functions. `create` and `copy` return an object that the
 * caller releases. Values from a dictionary, and a handler's arguments, are borrowed: numbers and strings are copied
 * before they are released. Keys are addresses of C strings (vmnet's own constants, vmnet.ts).
 */
import koffi from "koffi";
import { LIBSYSTEM } from "./libc.ts";

export interface Xpc {
  /** `(0, 0, 0)` makes an empty one. */
  xpc_dictionary_create(keys: 0, values: 0, count: 0): number;
  xpc_dictionary_set_uint64(dictionary: number, key: number, value: number): void;
  xpc_dictionary_set_bool(dictionary: number, key: number, value: boolean): void;
  xpc_dictionary_set_string(dictionary: number, key: number, value: string): void;
  /** 0 when there is no such number. */
  xpc_dictionary_get_uint64(dictionary: number, key: number): number | bigint;
  /** null when there is no such string. */
  xpc_dictionary_get_string(dictionary: number, key: number): string | null;
  xpc_release(object: number): void;
}

export function loadXpc(path: string = LIBSYSTEM): Xpc {
  const library = koffi.load(path);
  const declare = (prototype: string): never => library.func(prototype) as never;
  return {
    xpc_dictionary_create: declare("uintptr_t xpc_dictionary_create(uintptr_t keys, uintptr_t values, size_t count)"),
    xpc_dictionary_set_uint64: declare(
      "void xpc_dictionary_set_uint64(uintptr_t dictionary, uintptr_t key, uint64_t value)",
    ),
    xpc_dictionary_set_bool: declare("void xpc_dictionary_set_bool(uintptr_t dictionary, uintptr_t key, bool value)"),
    xpc_dictionary_set_string: declare(
      "void xpc_dictionary_set_string(uintptr_t dictionary, uintptr_t key, str value)",
    ),
    xpc_dictionary_get_uint64: declare("uint64_t xpc_dictionary_get_uint64(uintptr_t dictionary, uintptr_t key)"),
    xpc_dictionary_get_string: declare("str xpc_dictionary_get_string(uintptr_t dictionary, uintptr_t key)"),
    xpc_release: declare("void xpc_release(uintptr_t object)"),
  };
}
