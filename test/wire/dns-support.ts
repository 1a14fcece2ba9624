/** DNS responses for tests: written in hexadecimal, or by dns-packet and then compressed. */
import dnsPacket, { type Packet } from "dns-packet";
import { formatIPv4 } from "../../src/wire/address.ts";
import { DnsResponse } from "../../src/wire/dns-response.ts";

export const A = 1;
export const CNAME = 5;
export const AAAA = 28;
export const DNAME = 39;

export const bytes = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");
export const hex16 = (value: number): string => value.toString(16).padStart(4, "0");

/** Not compressed. */
export function name(text: string): string {
  const labels = text.split(".").filter((label) => label !== "");
  return `${labels.map((label) => hex16(label.length).slice(2) + Buffer.from(label, "latin1").toString("hex")).join("")}00`;
}

/** A record; `data` is a name's text for CNAME and DNAME, else hexadecimal. */
export function record(owner: string, type: number, data: string, ttl = 300, recordClass = 1): string {
  const rdata = type === CNAME || type === DNAME ? name(data) : data;
  const ttlText = ttl.toString(16).padStart(8, "0");
  return `${name(owner)}${hex16(type)}${hex16(recordClass)}${ttlText}${hex16(rdata.length / 2)}${rdata}`;
}

/** A response about `asked`, with these records in its answer section. */
export function response(asked: string, type: number, records: readonly string[], flags = "8180", rest = ""): Buffer {
  const counts = `0001 ${hex16(records.length)} 0000 0000`;
  return bytes(`4242 ${flags} ${counts} ${name(asked)} ${hex16(type)} 0001 ${records.join("")} ${rest}`);
}

export function read(
  message: Buffer,
  reader = new DnsResponse(),
): { fault: number; response: DnsResponse; found: string[] } {
  const memory = Buffer.concat([Buffer.alloc(7, 0xc0), message, Buffer.alloc(300, 1)]);
  const fault = reader.read(memory, 7, message.length);
  const found = Array.from({ length: reader.addressCount }, (_, index) => {
    const words = [...reader.addresses6.subarray(4 * index, 4 * index + 4)];
    const six = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    return `${reader.type === A ? formatIPv4(reader.addresses[index]!) : six} ${reader.ttls[index]}`;
  });
  return { fault, response: reader, found };
}

/** Replaces names that stood in the message before by pointers to them, now and then, as servers do. */
export function compressed(packet: Packet, choices: readonly boolean[]): Buffer {
  const parts: Buffer[] = [];
  const places = new Map<string, number>();
  let length = 0;
  let choice = 0;
  const put = (part: Buffer): void => {
    parts.push(part);
    length += part.length;
  };
  const putName = (text: string): void => {
    const labels = text.split(".");
    for (let index = 0; index < labels.length; index++) {
      const rest = labels.slice(index).join(".");
      const place = places.get(rest);
      if (place !== undefined && choices[choice++ % choices.length]) {
        put(Buffer.of(0xc0 | (place >> 8), place & 0xff));
        return;
      }
      places.set(rest, length);
      put(Buffer.concat([Buffer.of(labels[index]!.length), Buffer.from(labels[index]!)]));
    }
    put(Buffer.of(0));
  };
  put(dnsPacket.encode({ ...packet, questions: [], answers: [] }).subarray(0, 12));
  parts[0]!.writeUInt16BE(1, 4);
  parts[0]!.writeUInt16BE(packet.answers!.length, 6);
  putName(packet.questions![0]!.name);
  put(Buffer.of(0, 1, 0, 1));
  for (const answer of packet.answers!) {
    const plain = dnsPacket.encode({ answers: [answer] }).subarray(12);
    const fields = plain.indexOf(0) + 1;
    putName((answer as { name: string }).name);
    put(Buffer.from(plain.subarray(fields, fields + 10)));
    if (answer.type !== "CNAME" && answer.type !== "DNAME") put(plain.subarray(fields + 10));
    else {
      const header = parts.at(-1)!;
      const start = length;
      putName(answer.data);
      header.writeUInt16BE(length - start, 8);
    }
  }
  return Buffer.concat(parts);
}
