/**
 * Many VMs of a host in one view: softnet list and softnet top beside real softnets with real guests, top in a real terminal
 * (tmux), with keys, at several sizes; and the terminal afterwards, whatever ended it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { CURL, openNameScene } from "./harness/names.ts";
import { until } from "./harness/program.ts";
import { softnetCommand } from "./harness/softnet.ts";
import { Tmux } from "./harness/tmux.ts";
import { Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl", "tmux"), ...LIMIT };
const SELF = `lab${process.pid}`;
const [SEVEN, MIRROR] = [`${SELF}-vm-7`, `${SELF}-mirror`];

/** softnet as a line for a shell. */
const command = (...words: readonly string[]): string => softnetCommand(words).join(" ");

const isPrompt = (line: string | undefined): boolean => line === "$" || line === "#";

suite("one view", SIDE_BY_SIDE, () => {
  test("list, ctl and top show VMs by their names, with what they drop and ask for", NEEDS, async (t) => {
    const only = "good.example.com";
    const { lab, guest, run } = await openNameScene(t, only, undefined, ["--name", SEVEN]);
    const other = await lab.guest({ args: ["--name", MIRROR] });
    await lease(other);
    const folder = `/run/softnet/vms/${MIRROR}`;
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    await until("the socket of the name", () => existsSync(`${folder}/ctl`));
    const softnet = (...words: readonly string[]): string => {
      const [program, ...args] = softnetCommand(words);
      return spawnSync(program!, args, { encoding: "utf8" }).stdout;
    };
    const row = (name: string): string[] =>
      softnet("list")
        .split("\n")
        .find((line) => line.startsWith(`${name} `))!
        .split(/ {2,}/);
    assert.deepEqual(row(MIRROR).slice(1, 4), [other.mac, "live", other.link]);
    assert.equal(row(SEVEN)[1], guest.mac);
    assert.match(softnet("ctl", SEVEN, "get"), /^allow good\.example\.com +# no hits$/m);
    assert.equal(softnet("ctl", `${SELF}-*`, "status", "--json").trim().split("\n").length, 2);

    const terminal = new Tmux(t, 130, 24);
    terminal.type(`stty -g | cksum; echo ready; ${command("top", "--interval", "1")}; echo ended $?; stty -g | cksum`);
    await terminal.shows("the table", ([title = ""]) => title.startsWith("softnet top"));
    assert.ok(terminal.screen("-e").join("").includes("\u001b["), "in colour");
    const mine = (name: string) => (lines: readonly string[]) => lines.some((line) => line.startsWith(`> ${name} `));
    terminal.press("g");
    for (let moves = 0; moves < 100 && !mine(SEVEN)(terminal.screen()); moves++) {
      terminal.press("Down");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await terminal.shows("the VM chosen", mine(SEVEN));
    // Its mirror is denied by name, again and again.
    const asking = run(
      "sh",
      "-c",
      `for i in 1 2 3 4 5 6 7 8 9 10; do curl ${CURL.join(" ")} https://evil.example.com/; sleep 0.3; done`,
    );
    const busy = await terminal.shows("its drops", (lines) =>
      lines.some(
        (line) => line.startsWith(`> ${SEVEN}`) && / dns\.denied /.test(line) && /evil\.example\.com/.test(line),
      ),
    );
    assert.match(busy[1]!, /^ {2}NAME .*OUT fr\/s OUT bit\/s .*DROPS\/s {2}REASON +LAST NAMES$/);
    terminal.press("Enter");
    const detail = await terminal.shows("one VM", (lines) =>
      lines.some((line) => /^addresses {2}10\.77\.0\./.test(line)),
    );
    assert.ok(detail[0]!.endsWith(SEVEN));
    assert.ok(
      detail.some((line) => / dns\.denied /.test(line)),
      detail.join("\n"),
    );
    await terminal.shows("the names", (lines) => lines.some((line) => / evil\.example\.com$/.test(line)));
    terminal.resize(60, 12);
    await terminal.shows(
      "a smaller screen",
      (lines) => lines.length <= 12 && lines.at(-1)!.startsWith("up, down: scroll"),
    );
    terminal.resize(130, 24);
    terminal.press("Escape");
    await terminal.shows("all VMs again", mine(SEVEN));
    terminal.press("q");
    const ended = await terminal.shows(
      "the shell again",
      (lines) => lines.includes("ended 0") && isPrompt(lines.at(-1)),
    );
    const settings = ended.filter((line) => /^\d+ \d+$/.test(line));
    assert.equal(settings.length, 2);
    assert.equal(settings[0], settings[1], ended.join("\n"));
    await asking;
  });

  test("a signal or an error leaves the terminal as it was", NEEDS, async (t) => {
    const terminal = new Tmux(t, 100, 20);
    const file = join(temporaryFolder(t), "pid");
    terminal.type("echo before; stty -g | cksum");
    const settings = (lines: readonly string[]): string[] => lines.filter((line) => /^\d+ \d+$/.test(line));
    const before = settings(await terminal.shows("a shell", (lines) => settings(lines).length === 1));
    for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) {
      terminal.type(`clear; sh -c 'echo $$ >${file}; exec ${command("top")}'; echo code $?; stty -g | cksum`);
      await terminal.shows("the table", ([title = ""]) => title.startsWith("softnet top"));
      process.kill(Number(readFileSync(file, "utf8")), signal);
      const after = await terminal.shows("the shell", (lines) => lines.includes("code 0") && isPrompt(lines.at(-1)));
      assert.deepEqual(settings(after), before, signal);
    }
    terminal.type(`clear; ${process.execPath} ${tool("fail-in-terminal.ts")}; echo code $?; stty -g | cksum`);
    const after = await terminal.shows("the shell", (lines) => lines.includes("code 1") && isPrompt(lines.at(-1)));
    assert.deepEqual(settings(after), before);
    assert.ok(
      after.some((line) => line.includes("a fault of softnet's own")),
      "its trace can be read",
    );
    assert.ok(!after.includes("on the screen of its own"));
  });

  test("without a terminal, and with --once, top prints one screen without sequences", NEEDS, async (t) => {
    const lab = Lab.open(t);
    await lab.services();
    const guest = await lab.guest({ args: ["--name", `${SELF}-once`] });
    const folder = `/run/softnet/vms/${SELF}-once`;
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    await until("the socket of the name", () => existsSync(`${folder}/ctl`));
    const [program, ...args] = softnetCommand(["top", "--once", "--interval", "1"]);
    const { stdout, stderr } = spawnSync(program!, args, { encoding: "utf8" });
    assert.equal(stderr, "");
    assert.match(stdout, /^softnet top {2}\d\d:\d\d:\d\d {2}\d+ VMs?/);
    assert.match(stdout, new RegExp(`^[> ] ${SELF}-once +[\\d.k]+ `, "m"));
    assert.doesNotMatch(stdout.replaceAll("\n", ""), /[^ -~]/);
    await guest.stop();
    assert.ok(!existsSync(`${folder}/ctl`));
  });
});
