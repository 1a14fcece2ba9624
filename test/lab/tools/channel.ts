/**
 * channel.ts COMMAND…: starts a program with a channel of Node's own, as a parent that wants its child to talk. Prints
 * one line for each message that comes back, then `ended` and the exit code.
 */
import { spawn } from "node:child_process";

const [command, ...args] = process.argv.slice(2);
const child = spawn(command!, args, {
  stdio: ["ignore", "ignore", "inherit", "ipc"],
  env: { ...process.env, NODE_UNIQUE_ID: "1" },
});
child.on("message", (message) => console.log(`message ${JSON.stringify(message)}`));
child.on("error", () => {});
for (const cmd of ["NODE_DEBUG_ENABLED", "NODE_CLUSTER", "NODE_HANDLE"])
  child.send({ cmd, act: "disconnect" }, () => {});
child.send({ question: 1 }, () => {});
child.on("exit", (code) => console.log(`ended ${code}`));
