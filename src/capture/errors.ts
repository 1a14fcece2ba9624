/**
 * The only error class of this folder. Whatever a capture file contains, reading it returns frames or throws a
 * CaptureError. Its message is one line that names the file, what is wrong and what to do; `code` is stable.
 */

export type CaptureErrorCode =
  /** The file cannot be opened or read. */
  | "CAPTURE_UNREADABLE"
  /** Not a capture file, or one whose bytes contradict each other. */
  | "CAPTURE_FORMAT"
  /** A well-formed capture of something else than Ethernet. */
  | "CAPTURE_LINK_TYPE"
  /** The file ends in the middle of a record; every frame before it was whole. */
  | "CAPTURE_TRUNCATED"
  /** The file cannot be created or written. */
  | "CAPTURE_UNWRITABLE";

export class CaptureError extends Error {
  readonly code: CaptureErrorCode;
  /** The file as the user named it. */
  readonly path: string;

  constructor(code: CaptureErrorCode, path: string, what: string, remedy: string) {
    // A file name may contain any byte, but the message must stay one line without control characters.
    super(`${path.replace(/\p{Cc}/gu, "?")}: ${what}; ${remedy}`);
    this.name = "CaptureError";
    this.code = code;
    this.path = path;
  }
}

/** What a system error means for a file that is read or written, and what to do about it: [what, remedy]. */
type Explanation = readonly [string, string];

const READING: Readonly<Record<string, Explanation>> = {
  ENOENT: ["there is no such file", "check the path"],
  EACCES: ["permission denied", "make the file readable for this user"],
  EPERM: ["permission denied", "make the file readable for this user"],
  EISDIR: ["is a directory", "name a capture file"],
  ENOTDIR: ["a part of the path is not a directory", "check the path"],
  ENAMETOOLONG: ["the path is too long", "check the path"],
};

const WRITING: Readonly<Record<string, Explanation>> = {
  ENOENT: ["the folder does not exist", "create it first"],
  EACCES: ["permission denied", "name a file that this user may write"],
  EPERM: ["permission denied", "name a file that this user may write"],
  EROFS: ["the file system is read-only", "name a file elsewhere"],
  EISDIR: ["is a directory", "name a file in it"],
  ENOTDIR: ["a part of the path is not a directory", "check the path"],
  ENAMETOOLONG: ["the path is too long", "check the path"],
  ELOOP: ["is a symbolic link, which is not followed", "name the file itself"],
  ENXIO: ["nothing reads from this pipe", "start the reading program first"],
  EAGAIN: ["the program that reads this pipe is too slow", "capture into a file"],
  EPIPE: ["the program that read this pipe is gone", "start both again"],
  EBADF: ["the descriptor is closed or not open for writing", "hand over an open one"],
  ENOSPC: ["the disk is full", "free some space and start again"],
  EDQUOT: ["the disk quota is used up", "free some space and start again"],
  EFBIG: ["the file is as large as the system allows", "lower the capture's maximum size"],
};

/** The CaptureError for an error that a file system call threw. */
export function systemError(
  code: "CAPTURE_UNREADABLE" | "CAPTURE_UNWRITABLE",
  path: string,
  error: unknown,
): CaptureError {
  const reading = code === "CAPTURE_UNREADABLE";
  const name = error instanceof Error && "code" in error ? String(error.code) : String(error);
  const known = (reading ? READING : WRITING)[name];
  const [what, remedy] = known ?? [
    `cannot be ${reading ? "read" : "written"} (${name})`,
    "check the path and the disk",
  ];
  return new CaptureError(code, path, what, remedy);
}
