/**
 * Orchard's way, in literal bytes: a controller that starts softnet with the channel on standard output and gives policies with revisions
 * that grow. Fleets of Tart hosts depend on each of these bytes; the whole protocol is in test/control/protocol.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { Controller } from "../control/support.ts";
import { startSoftnet } from "../support/running.ts";
import { pair } from "../support/sockets.ts";
import { arrives, isDropped, PRIVATE, STATIC, udp } from "./control-support.ts";

const CONVERSATION: readonly (readonly [request: string, answer: string])[] = [
  [
    '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get"}',
    '{"jsonrpc":"2.0","id":1,"result":{"allow":[],"block":["@metadata"],"ruleCount":1}}',
  ],
  [
    '{"jsonrpc":"2.0","id":2,"method":"softnet.policy.set","params":{"allow":["10.0.0.1/8","out 192.168.7.9/16:443-443"],"block":["@metadata"],"desiredRevision":4}}',
    '{"jsonrpc":"2.0","id":2,"result":{"allow":["10.0.0.0/8","out 192.168.0.0/16:443"],"block":["@metadata"],"ruleCount":3,"desiredRevision":4}}',
  ],
  // Its answer may have been lost: the same again.
  [
    '{"method":"softnet.policy.set","jsonrpc":"2.0","params":{"desiredRevision":4,"block":["@metadata"],"allow":["10.0.0.0/8","out 192.168.0.0/16:443"]},"id":"3-again"}',
    '{"jsonrpc":"2.0","id":"3-again","result":{"allow":["10.0.0.0/8","out 192.168.0.0/16:443"],"block":["@metadata"],"ruleCount":3,"desiredRevision":4}}',
  ],
  [
    '{"jsonrpc":"2.0","id":18446744073709551615,"method":"softnet.policy.get","params":{}}',
    '{"jsonrpc":"2.0","id":18446744073709551615,"result":{"allow":["10.0.0.0/8","out 192.168.0.0/16:443"],"block":["@metadata"],"ruleCount":3}}',
  ],
];

const REFUSED: readonly (readonly [request: string, begin: string])[] = [
  [
    '{"jsonrpc":"2.0","id":5,"method":"softnet.policy.set","params":{"allow":[],"block":[],"desiredRevision":3}}',
    '{"jsonrpc":"2.0","id":5,"error":{"code":-32001,',
  ],
  [
    '{"jsonrpc":"2.0","id":6,"method":"softnet.policy.set","params":{"allow":["10.0.0.0"],"block":[],"desiredRevision":5}}',
    '{"jsonrpc":"2.0","id":6,"error":{"code":-32602,',
  ],
  [
    '{"jsonrpc":"2.0","id":7,"method":"softnet.policy.set","params":{"allow":["0.0.0.0/0"],"block":[],"desiredRevision":5}}',
    '{"jsonrpc":"2.0","id":7,"error":{"code":-32002,',
  ],
  ['{"jsonrpc":"2.0","method":"softnet.policy.get"}', '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,'],
];

test("Orchard's way: policies with revisions by the channel on standard output, to the byte", async (t) => {
  const { fd, end } = pair(SOCK_STREAM);
  const args = [...STATIC, "--block", "@metadata", "--control-fd", "1"];
  const running = await startSoftnet(t, { args, vmFd: 0, stdout: fd });
  const controller = new Controller(t, end);
  await isDropped(running, udp(PRIVATE));
  for (const [request, answer] of CONVERSATION) assert.equal(await controller.ask(request), answer);
  await arrives(running, udp(PRIVATE));
  for (const [request, begin] of REFUSED) {
    const answer = await controller.ask(request);
    assert.ok(answer.startsWith(begin), answer);
  }
  await arrives(running, udp(PRIVATE)); // what was refused has changed nothing
  end.close();
  await arrives(running, udp(PRIVATE)); // nor has the channel's end
});
