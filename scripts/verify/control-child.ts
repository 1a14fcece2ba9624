/**
 * The child of control.ts, with the control channel as softnet has it:
 *
 *     control-child.ts LIBRARY          on standard output, as from Tart; what comes is sent back
 *     control-child.ts LIBRARY PATH     on a path, where it listens until it is killed
 */
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { checkControlDescriptor, takeControlDescriptor } from "../../src/ports/control-descriptor.ts";
import { darwinUnix } from "../../src/ports/darwin-unix.ts";
import { SocketListener } from "../../src/ports/socket-listener.ts";
import { SocketStream } from "../../src/ports/socket-stream.ts";
import type { UnixSystem } from "../../src/ports/unix-system.ts";

const STDOUT = 1;

const [library, path] = process.argv.slice(2);
const unix = darwinUnix(loadDarwinLibc(library));
if (path === undefined) echo(unix);
else listen(unix, path);

function echo(system: UnixSystem): void {
  checkControlDescriptor(system, { controlFd: STDOUT });
  const stream = new SocketStream(system, takeControlDescriptor(system, STDOUT));
  process.stdout.write("what is printed does not belong here\n");
  stream.watch(true, false, () => {
    const bytes = stream.receive();
    if (bytes === undefined) stream.close();
    else stream.send(bytes);
  });
}

function listen(system: UnixSystem, at: string): void {
  new SocketListener(system, "--control-socket", at, (stream) => stream.close());
  process.stdout.write("listens\n");
}
