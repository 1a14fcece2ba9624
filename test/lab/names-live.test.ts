/** What a person sees of names while a VM runs: `softnet ctl`, the log, events; and how a list is changed. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { CURL, openNameScene } from "./harness/names.ts";
import { until } from "./harness/program.ts";
import { softnetCommand } from "./harness/softnet.ts";
import { labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const GOOD = "good.example.com";
const EVIL = "evil.example.com";

suite("names seen and changed live", SIDE_BY_SIDE, () => {
  test(
    "N8 a denied name is logged once and told as an event; ctl names counts it; ctl set --only lets it in",
    NEEDS,
    async (t) => {
      const { run, lab, guest, control } = await openNameScene(t, GOOD);
      const ctl = (...words: readonly string[]) => {
        const [command, ...args] = softnetCommand(["ctl", control, ...words]);
        return lab.host.run(command!, args);
      };
      const [watcher, ...rest] = softnetCommand(["ctl", control, "watch", "--json"]);
      const watch = lab.start(lab.host, watcher!, rest);
      await watch.line(/./);
      assert.match((await run("curl", ...CURL, `https://${GOOD}/`)).stdout, /host=good/);
      for (let again = 0; again < 3; again++) assert.equal((await run("curl", ...CURL, `https://${EVIL}/`)).code, 6);
      const event = JSON.parse(await watch.line(/"name":"evil\.example\.com"/));
      assert.equal(event.event, "name");
      assert.equal(event.reason, "dns.denied");
      assert.equal(watch.count(/"name":"evil\.example\.com"/), 1);
      const denials = () => guest.softnet!.records.filter(({ message }) => message === "lookup denied");
      assert.deepEqual(
        denials().map(({ name }) => name),
        [EVIL],
      );

      const explained = await ctl("explain", "out", "tcp", GOOD, "443");
      assert.match(explained.stdout, /pass/);
      assert.match((await ctl("explain", "out", "tcp", EVIL, "443")).stdout, /dns\.denied/);
      const names = (await ctl("names")).stdout.split("\n");
      assert.match(names.find((line) => line.endsWith(GOOD))!, /^ *\d+ +0 +[1-9]\d* +[1-9]\d* +0 /);
      assert.match(names.find((line) => line.endsWith(EVIL))!, /^ *[1-9]\d* +[1-9]\d* +0 +0 +0 /);

      const set = await ctl("set", "--only", EVIL);
      assert.equal(set.code, 0, set.stderr);
      assert.match((await run("curl", ...CURL, `https://${EVIL}/`)).stdout, /host=evil/);
      assert.equal((await run("curl", ...CURL, `https://${GOOD}/`)).code, 6);
      await until("the other name is logged", () => denials().some(({ name }) => name === GOOD));
    },
  );
});
