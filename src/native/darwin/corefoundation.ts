/**
 * CoreFoundation: dictionaries, strings and numbers, as preferences contain them. The caller must release the result of
 * a function with Create or Copy in its name, and must not release the result of one with Get (it is borrowed).
 */
import koffi from "koffi";

export const CORE_FOUNDATION = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation";

/**
 * An object. On Apple silicon a number and a short string are tagged pointers, which contain the value and have the
 * highest bit set: koffi passes those as bigint. 0 is none.
 */
export type Handle = number | bigint;

export interface CoreFoundation {
  /** kCFBooleanTrue, borrowed. */
  readonly kCFBooleanTrue: Handle;
  /** Addresses of the callbacks for dictionaries of CoreFoundation's own objects. */
  readonly kCFTypeDictionaryKeyCallBacks: number;
  readonly kCFTypeDictionaryValueCallBacks: number;

  CFStringCreateWithCString(allocator: 0, text: string, encoding: number): Handle;
  CFNumberCreate(allocator: 0, type: number, value: Int32Array): Handle;
  /** False when the number does not fit. */
  CFNumberGetValue(number: Handle, type: number, value: Int32Array): boolean;
  CFNumberGetTypeID(): number;
  CFDictionaryCreateMutable(allocator: 0, capacity: 0, keyCallBacks: number, valueCallBacks: number): Handle;
  CFDictionaryCreateMutableCopy(allocator: 0, capacity: 0, dictionary: Handle): Handle;
  CFDictionaryGetTypeID(): number;
  /** 0 when there is none. */
  CFDictionaryGetValue(dictionary: Handle, key: Handle): Handle;
  CFDictionarySetValue(dictionary: Handle, key: Handle, value: Handle): void;
  CFGetTypeID(object: Handle): number;
  CFRelease(object: Handle): void;
}

export const kCFStringEncodingUTF8 = 0x08000100;
export const kCFNumberSInt32Type = 3;

export function loadCoreFoundation(path: string = CORE_FOUNDATION): CoreFoundation {
  const library = koffi.load(path);
  const declare = (prototype: string): never => library.func(prototype) as never;
  const address = (name: string): number => Number(library.symbol(name) as bigint);
  const truth = new DataView(koffi.view(library.symbol("kCFBooleanTrue") as bigint, 8));
  return {
    kCFBooleanTrue: Number(truth.getBigUint64(0, true)),
    kCFTypeDictionaryKeyCallBacks: address("kCFTypeDictionaryKeyCallBacks"),
    kCFTypeDictionaryValueCallBacks: address("kCFTypeDictionaryValueCallBacks"),

    CFStringCreateWithCString: declare(
      "uintptr_t CFStringCreateWithCString(uintptr_t allocator, str text, uint32_t encoding)",
    ),
    CFNumberCreate: declare("uintptr_t CFNumberCreate(uintptr_t allocator, long type, void *value)"),
    CFNumberGetValue: declare("bool CFNumberGetValue(uintptr_t number, long type, void *value)"),
    CFNumberGetTypeID: declare("unsigned long CFNumberGetTypeID()"),
    CFDictionaryCreateMutable: declare(
      "uintptr_t CFDictionaryCreateMutable(uintptr_t allocator, long capacity, uintptr_t keyCallBacks, uintptr_t valueCallBacks)",
    ),
    CFDictionaryCreateMutableCopy: declare(
      "uintptr_t CFDictionaryCreateMutableCopy(uintptr_t allocator, long capacity, uintptr_t dictionary)",
    ),
    CFDictionaryGetTypeID: declare("unsigned long CFDictionaryGetTypeID()"),
    CFDictionaryGetValue: declare("uintptr_t CFDictionaryGetValue(uintptr_t dictionary, uintptr_t key)"),
    CFDictionarySetValue: declare("void CFDictionarySetValue(uintptr_t dictionary, uintptr_t key, uintptr_t value)"),
    CFGetTypeID: declare("unsigned long CFGetTypeID(uintptr_t object)"),
    CFRelease: declare("void CFRelease(uintptr_t object)"),
  };
}
