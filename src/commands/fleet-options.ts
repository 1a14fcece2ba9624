/** The options of `softnet fleet` and its commands. */
import type { Command } from "commander";
import { returnRights } from "../privileges/borrowed.ts";
import { LOG_FORMATS } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import type { FleetArguments, FleetCommand } from "./fleet.ts";
import { oneOf, wholeNumber } from "./values.ts";

const STDOUT = 1;

/** As many as can elect one of them, and as NATS takes. */
const REPLICAS = ["1", "3", "5"];

/** Only `fleet` knows NATS; nothing of it is loaded otherwise. */
export function addFleet(softnet: Command): void {
  const fleet = softnet
    .command("fleet")
    .description("one policy, one list for the VMs of many hosts, on NATS")
    .helpCommand(false)
    .allowExcessArguments(true)
    .action((_given: object, { args, commands }: Command) => {
      const known = commands.map((command) => command.name()).join(", ");
      throw new UserError(
        args[0] === undefined
          ? `fleet needs a command: ${known}; see softnet fleet --help`
          : `fleet ${args[0]}: there is no such command: give ${known}`,
      );
    });
  const add = (words: string, description: string): Command =>
    fleet
      .command(words)
      .description(description)
      .requiredOption("--nats <urls>", "NATS servers, comma-separated, such as tls://nats1.example.com:4222")
      .option("--creds <file>", "a file of NATS credentials")
      .option("--login <file>", "a file with USER:PASSWORD")
      .option("--ca <file>", "the certificate authority of the servers, PEM")
      .option("--json", "print JSON, one object a line");
  const act = (command: Command, name: FleetCommand): Command =>
    command.action(async (...given: unknown[]) => {
      await returnRights();
      const { fleet } = await import("./fleet.ts");
      const words = given.slice(0, -2).flat().map(String);
      process.exitCode = await fleet(name, words, given.at(-2) as FleetArguments, STDOUT);
    });
  act(
    add("agent", "keep this host's VMs at the fleet's policy, and tell the fleet of them; until it is ended")
      .option("--host <name>", "this host's name in the fleet (default: the machine's, to the first dot)")
      .option("--state <folder>", "where to keep what was known last", "/var/lib/softnet-fleet")
      .option(
        "--shared-network <name=bridge>",
        "a bridge that belongs to a network which other hosts have part in, such as lan=br0; may be given several times",
        (text: string, before: readonly string[] = []) => [...before, text],
      )
      .option("--metrics <address>", "serve metrics by HTTP: unix:PATH, 127.0.0.1:PORT or [::1]:PORT")
      .option("--textfile <path>", "write metrics to a file of node_exporter's textfile collector, every 15 s")
      .option("--log-format <format>", "text or json", oneOf("--log-format", LOG_FORMATS), "text"),
    "agent",
  );
  act(
    add("init", "make the fleet's buckets in NATS").option(
      "--replicas <n>",
      "on how many servers they are: 1, 3 or 5",
      (text) => Number(oneOf("--replicas", REPLICAS)(text)),
      1,
    ),
    "init",
  );
  act(
    add("list", "print the fleet's VMs")
      .option("--host <name>", "those of one host")
      .option("--label <name>", "those with a label"),
    "list",
  );
  act(add("status <vm>", "what a VM's softnet is doing; NAME or HOST/NAME"), "status");
  act(add("explain <vm> [words...]", "whether something would pass, as softnet ctl explain has it"), "explain");
  act(add("get <document...>", "print a document: all, host NAME, group LABEL or vm NAME"), "get");
  act(
    add("set <document...>", "put a document in force: all, host NAME, group LABEL or vm NAME")
      .option("--file <path>", "the document, JSON; - for standard input")
      .option("--delete", "take it away")
      .option("--revision <n>", "only if this is what is there, 0: nothing", wholeNumber("--revision", 0, 2 ** 52)),
    "set",
  );
  act(
    add("watch", "print drops, bindings and conflicts of addresses as they happen, until Ctrl-C")
      .option("--host <name>", "those of one host")
      .option("--label <name>", "those of VMs with a label"),
    "watch",
  );
}
