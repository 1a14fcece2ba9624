/** macOS' log, against the stand-in for its syslog. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { Log } from "../../src/telemetry/log.ts";
import { syslogWriter } from "../../src/telemetry/syslog.ts";
import { needsTwin, twin } from "../support/twin.ts";

test("each level has its priority, under softnet's name, and a percent sign is only a character", needsTwin(), () => {
  const { libraries, control } = twin();
  const write = syslogWriter(loadDarwinLibc(libraries.system));
  const log = new Log({
    level: "debug",
    format: "text",
    write: (line, level) => {
      write(line, level);
      return true;
    },
  });
  log.debug("a");
  log.info("b", { text: "100%s %n %d" });
  log.warn("c");
  log.error("d");
  const lines = control.syslogText().trimEnd().split("\n");
  const [a, b, c, d] = lines.slice(-4);
  assert.match(a!, /^softnet\[3\.7\] time=\S+ level=debug message=a$/);
  assert.match(b!, /^softnet\[3\.5\] time=\S+ level=info message=b text="100%s %n %d"$/);
  assert.match(c!, /^softnet\[3\.4\] .*message=c$/);
  assert.match(d!, /^softnet\[3\.3\] .*message=d$/);
});
