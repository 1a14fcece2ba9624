/** Downloads a URL of services.ts and prints how many bytes came, or -1 when they are not the pattern. */
import { get } from "node:http";
import { pattern } from "./pattern.ts";

const url = process.argv[2]!;
const request = get(url, { agent: false }, (response) => {
  const chunks: Buffer[] = [];
  response.on("data", (chunk: Buffer) => chunks.push(chunk));
  response.on("end", () => {
    const body = Buffer.concat(chunks);
    console.log(body.equals(pattern(body.length)) ? body.length : -1);
  });
  response.on("error", fail);
});
request.setTimeout(20_000, () => request.destroy(new Error("no byte for 20 s")));
request.on("error", fail);

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}
