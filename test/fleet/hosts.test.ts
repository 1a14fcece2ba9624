/**
 * A fleet of three hosts on a cluster of three nats-servers: whatever is killed, cut off, full or revoked, in the end each VM has the
 * policy that the bucket says, asked of its own control socket. What the bucket says for a VM is found out here in a
 * way of its own, from docs/fleet.md.
 *
 * With SOFTNET_FLEET_LONG=1 (npm run test:fleet) the partition lasts a minute, and there are a thousand changes.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { sleep, until } from "../lab/harness/program.ts";
import { Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT, LONG_LIMIT } from "../support/patience.ts";
import { FleetLab, type LabVm, policyOf } from "./fleet-lab.ts";

const IS_LONG = process.env.SOFTNET_FLEET_LONG === "1";
const PARTITION = IS_LONG ? 60_000 : 3_000;
const CHANGES = IS_LONG ? 1_000 : 100;
const NEEDS = { ...labNeeds("nats-server", "unshare"), ...(IS_LONG ? LONG_LIMIT : LIMIT) };
const POLICY_STREAM = "KV_softnet_policy";

interface Document {
  readonly block: readonly string[];
  readonly limits?: readonly string[];
  readonly next?: { readonly share: number; readonly block: readonly string[] };
}

let rules = 0;
/** A rule that there was not before. */
const newRule = (): string => {
  rules++;
  return `out 100.64.${rules >> 8}.${rules & 255}/32`;
};

/** A limit in normal form: no multiple of a thousand. */
const limit = (change: number): string => `flows ${change * 10 + 1}/s burst ${change * 10 + 1}`;

suite("three hosts and three nats-servers", { skip: NEEDS.skip ?? false }, () => {
  let lab: Lab;
  let fleet: FleetLab;
  let vms: LabVm[];

  before(async () => {
    lab = new Lab();
    fleet = new FleetLab(lab);
    await fleet.servers[0]!.smallDisk("24m");
    await fleet.open();
    await Promise.all(
      fleet.hosts.map(async (host) => {
        await host.vm(`${host.name}-web`, ["web", "prod"]);
        await host.vm(`${host.name}-db`, host.name === "h1" ? ["prod"] : []);
      }),
    );
    await Promise.all(fleet.hosts.map((host) => host.startAgent()));
    vms = fleet.vms;
  }, LIMIT);

  after(() => lab?.close());

  /** What a VM should block, and the limits, by the documents in the bucket. */
  async function saidBy(vm: LabVm): Promise<{ block: string[]; limits: string[] }> {
    const keys = [`vm.${vm.name}`, ...vm.labels.map((label) => `group.${label}`), `host.${vm.host}`, "all"];
    for (const key of keys) {
      const found = await fleet.get(key);
      if (found === undefined) continue;
      const document = JSON.parse(found) as Document;
      const place = createHash("sha256").update(`${vm.host}\0${vm.name}`).digest().readUInt32BE(0) % 100;
      const part = document.next !== undefined && place < document.next.share ? document.next : document;
      return { block: part.block.toSorted(), limits: [...((part as Document).limits ?? [])] };
    }
    return { block: [vm.own], limits: [] };
  }

  /** Waits until these VMs have what the bucket says, and the fleet's list says so. */
  async function agree(of: readonly LabVm[] = vms): Promise<void> {
    for (const vm of of) {
      const said = JSON.stringify(await saidBy(vm));
      let has = "";
      const isSo = async (): Promise<boolean> => {
        has = JSON.stringify(await policyOf(vm));
        return has === said;
      };
      await until(`${vm.name} has ${said}`, isSo).catch((error: Error) => assert.fail(`${error.message}, but ${has}`));
    }
    await until("the list says that it is in force", async () => {
      const list = (await fleet.ask({ do: "list" }).catch(() => [])) as Record<string, unknown>[];
      const isListed = (vm: LabVm): boolean =>
        list.some(
          (one) =>
            one.host === vm.host && one.name === vm.name && one.wanted === one.inForce && (one.error ?? null) === null,
        );
      return of.every(isListed);
    });
  }

  const others = (host: string): LabVm[] => vms.filter((vm) => vm.host !== host);

  test("set: every VM has the most specific document's policy, and its own again when that goes", NEEDS, async () => {
    await agree();
    await fleet.set("all", { block: [newRule()], limits: [limit(5)] });
    await agree();
    await fleet.set("host.h2", { block: [newRule()] });
    await fleet.set("group.web", { block: [newRule(), newRule()] });
    await fleet.set("vm.h3-db", { block: [newRule()] });
    await agree();
    for (const key of ["group.web", "vm.h3-db", "host.h2", "all"]) await fleet.set(key);
    await agree();
  });

  test("roll-out: a share of the VMs has what is next, then all; back: none has it any more", NEEDS, async () => {
    const [now, next] = [{ block: [newRule()] }, { block: [newRule()] }];
    const having = async (): Promise<number> => {
      const all = await Promise.all(vms.map((vm) => policyOf(vm)));
      return all.filter(({ block }) => JSON.stringify(block) === JSON.stringify(next.block)).length;
    };
    await fleet.set("all", now);
    for (const share of [0, 50, 100]) {
      await fleet.set("all", { ...now, next: { share, ...next } });
      await agree();
      const count = await having();
      assert.ok(share === 50 ? count > 0 && count < vms.length : count === (share * vms.length) / 100, `${count} VMs`);
    }
    await fleet.set("all", now);
    await agree();
    assert.equal(await having(), 0);
  });

  test(
    "the documents' leader is killed: the next change is set and in force, and the server comes back",
    NEEDS,
    async (t) => {
      const leader = await fleet.leader(POLICY_STREAM);
      await leader.kill();
      const killed = performance.now();
      await fleet.set("all", { block: [newRule()] });
      const set = performance.now();
      await agree();
      const seconds = (from: number, to: number): string => ((to - from) / 1000).toFixed(1);
      t.diagnostic(
        `set ${seconds(killed, set)} s after it was killed, in force ${seconds(set, performance.now())} s later`,
      );
      await leader.start();
      await fleet.set("all", { block: [newRule()] });
      await agree();
    },
  );

  test("a host is cut off: its VMs keep their policy, the others get theirs, and it catches up", NEEDS, async () => {
    const [, host] = fleet.hosts;
    const before = await Promise.all(host!.vms.map((vm) => policyOf(vm)));
    host!.cut();
    const end = performance.now() + PARTITION;
    do {
      await fleet.set("all", { block: [newRule()] });
      await agree(others(host!.name));
      assert.deepEqual(await Promise.all(host!.vms.map((vm) => policyOf(vm))), before);
      await sleep(500);
    } while (performance.now() < end);
    host!.heal();
    await agree();
  });

  test(
    "an agent is killed: its VMs keep their policy, and get the last one when it is there again",
    NEEDS,
    async () => {
      const [host] = fleet.hosts;
      const before = await Promise.all(host!.vms.map((vm) => policyOf(vm)));
      await host!.killAgent();
      for (let change = 0; change < 3; change++) await fleet.set("all", { block: [newRule()] });
      await agree(others(host!.name));
      assert.deepEqual(await Promise.all(host!.vms.map((vm) => policyOf(vm))), before);
      await host!.startAgent();
      await agree();
    },
  );

  test(
    "an agent's credentials are revoked: it changes nothing more, and catches up when it has some again",
    NEEDS,
    async () => {
      const host = fleet.hosts[2]!;
      const before = await Promise.all(host.vms.map((vm) => policyOf(vm)));
      fleet.revoke(host.name);
      await until("it is told", () => host.log.some((line) => /NATS is away|message="?NATS/.test(line)));
      await fleet.set("all", { block: [newRule()] });
      await agree(others(host.name));
      assert.deepEqual(await Promise.all(host.vms.map((vm) => policyOf(vm))), before);
      fleet.revoke();
      await agree();
    },
  );

  test(
    "a server's disk is full: what is set is in force, or refused; with room again all is as the bucket says",
    NEEDS,
    async (t) => {
      const server = fleet.servers[0]!;
      const fill = join(server.disk, "fill");
      const before = await policyOf(vms[0]!);
      const given = [before.block];
      assert.throws(() => writeFileSync(fill, Buffer.alloc(64 * 1_048_576)), /ENOSPC/);
      let refused = 0;
      for (let change = 0; change < 5; change++) {
        const block = [newRule()];
        given.push(block);
        // A leader without room takes nothing, and nats-server 2.9 may go on to be the leader.
        await fleet.ask({ do: "set", key: "all", text: JSON.stringify({ block }) }).catch(() => refused++);
        for (const vm of vms) {
          const { block: has } = await policyOf(vm);
          assert.ok(
            given.some((one) => JSON.stringify(one) === JSON.stringify(has)),
            JSON.stringify(has),
          );
        }
      }
      t.diagnostic(`${refused} of 5 changes were refused`);
      rmSync(fill);
      await server.kill();
      await server.start();
      await fleet.set("all", { block: [newRule()] });
      await agree();
    },
  );

  test(
    `${CHANGES} changes of all kinds of documents: in the end every VM has what the bucket says`,
    NEEDS,
    async () => {
      const keys = ["all", "host.h1", "host.h3", "group.web", "group.prod", ...vms.map(({ name }) => `vm.${name}`)];
      for (let change = 0; change < CHANGES; change++) {
        const key = keys[(change * 7 + (change >> 3)) % keys.length]!;
        const isTaken = change % 5 === 4;
        await fleet.set(key, isTaken ? undefined : { block: [newRule()], limits: [limit(change)] });
      }
      await agree();
      for (const key of keys) await fleet.set(key);
      await agree();
    },
  );
});
