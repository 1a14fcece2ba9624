/**
 * An archive that Linux unpacks as its first root file system: cpio in the "newc" format, as
 * Documentation/driver-api/early-userspace/buffer-format.rst of the kernel has it. Each entry is a header of 110 bytes
 * in hexadecimal digits, its name with a zero byte, and its content, each padded to 4 bytes.
 */

const DIRECTORY = 0o040755;
const EXECUTABLE = 0o100755;
const TRAILER = "TRAILER!!!";

/** Packs files by their path without a leading slash, `bin/busybox`; every folder on the way must be told before. */
export function cpio(folders: readonly string[], files: ReadonlyMap<string, Uint8Array>): Buffer {
  const entries = [
    ...folders.map((name) => ({ name, mode: DIRECTORY, content: new Uint8Array(0) })),
    ...[...files].map(([name, content]) => ({ name, mode: EXECUTABLE, content })),
    { name: TRAILER, mode: 0, content: new Uint8Array(0) },
  ];
  return Buffer.concat(
    entries.flatMap(({ name, mode, content }, index) => {
      // inode, mode, uid, gid, links, time, size, device and its own device number (2 each), name's length, checksum
      const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
      const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
      return [padded(Buffer.from(`${header}${name}\0`)), padded(content)];
    }),
  );
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
