/** The page of one VM: what it is, its traffic, its drops by reason, and the names that it asked for. */
import { DROP_REASONS } from "../../guard/reasons.ts";
import { duration, fieldsOf, numberOf } from "../fields.ts";
import { short } from "./figures.ts";
import type { Line } from "./line.ts";
import type { Row, Traffic } from "./rates.ts";
import type { NameTotal } from "./sample.ts";

/** Names that are shown: those that were denied most often, then those that were asked for most often. */
const MOST_NAMES = 200;

const plain = (text: string): Line => ({ text, style: "plain" });
const heading = (text: string): Line => ({ text, style: "heading" });

export function detailLines(row: Row, names: readonly NameTotal[], recent: readonly string[]): Line[] {
  const { vm } = row;
  const about = [
    plain(`MAC        ${vm.mac ?? "-"}${vm.interface === undefined ? "" : `, interface ${vm.interface}`}`),
    plain(`addresses  ${vm.addresses.join(", ") || "none yet"}`),
    plain(`network    ${vm.network ?? "-"}`),
  ];
  const { status } = vm;
  if (status === undefined) return [...about, plain(`cannot be asked: ${vm.error ?? "it has no control socket"}`)];
  const policy = fieldsOf(status.policy);
  const rules = numberOf(policy.ruleCount) ?? 0;
  return [
    ...about,
    plain(`policy     ${rules} ${rules === 1 ? "rule" : "rules"}, by ${vm.policy ?? "-"}`),
    plain(`flows      ${short(row.flows)} of ${numberOf(fieldsOf(status.flows).limit) ?? "-"}`),
    plain(`up         ${duration(vm.uptime ?? 0)}`),
    plain(""),
    heading(`${"".padEnd(12)}${["frames/s", "bit/s", "frames", "bytes"].map((cell) => cell.padStart(12)).join("")}`),
    plain(trafficLine("from the VM", row.fromVm)),
    plain(trafficLine("to the VM", row.toVm)),
    plain(""),
    ...dropLines(row),
    plain(""),
    ...nameLines(names, recent),
  ];
}

function trafficLine(name: string, traffic: Traffic | undefined): string {
  const { framesRate, bitsRate, frames, bytes } = traffic ?? {};
  return `${name.padEnd(12)}${[framesRate, bitsRate, frames, bytes].map((value) => short(value).padStart(12)).join("")}`;
}

function dropLines({ drops }: Row): Line[] {
  if (drops.length === 0) return [plain("nothing was dropped")];
  return [
    heading(`${"dropped/s".padStart(12)}${"dropped".padStart(12)}  reason`),
    ...drops.map(({ reason, count, rate }): Line => {
      const text = DROP_REASONS.find(({ name }) => name === reason)?.text ?? "";
      const figures = `${short(rate).padStart(12)}${short(count).padStart(12)}`;
      return { text: `${figures}  ${reason.padEnd(24)} ${text}`, style: (rate ?? 0) > 0 ? "warning" : "plain" };
    }),
  ];
}

function nameLines(names: readonly NameTotal[], recent: readonly string[]): Line[] {
  if (names.length === 0) return [plain("no name was asked for")];
  const sorted = names.toSorted((a, b) => b.denied + b.refused - (a.denied + a.refused) || b.asked - a.asked);
  const line = (cells: readonly (string | number)[], name: string): string =>
    `${cells.map((cell) => String(cell).padStart(12)).join("")}  ${name}`;
  return [
    ...(recent.length > 0 ? [plain(`last asked: ${recent.join(", ")}`)] : []),
    heading(line(["asked", "denied", "passed", "refused"], "name")),
    ...sorted.slice(0, MOST_NAMES).map(({ asked, denied, passed, refused, name }): Line => {
      const style = denied + refused > 0 ? "warning" : "plain";
      return { text: line([asked, denied, passed, refused].map(short), name), style };
    }),
  ];
}
