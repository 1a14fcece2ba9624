/** `size` bytes that show where they were damaged: 32-bit counters, big endian. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size + (-size & 3));
  for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32BE((i * 2654435761) >>> 0, i);
  return bytes.subarray(0, size);
}
