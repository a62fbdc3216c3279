import assert from "node:assert/strict";
import type { Network } from "../../../src/ports/network.ts";
import { deadline, DEADLINE_MS, join, record, tap, TOPIC, warmUp } from "../../contract/network-support.ts";
import { makeNetwork } from "./lib.ts";

/** Messages in a row that nobody looks at show that their sender is no longer listened to. */
const UNHEARD = 20;

describe("libp2p: gossip", function () {
  this.timeout(20_000);
  const made: Network[] = [];
  async function node(): Promise<Network> {
    const network = makeNetwork();
    made.push(network);
    await network.start();
    return network;
  }
  afterEach(() => Promise.all(made.splice(0).map((network) => network.stop())));

  it("a neighbour whose messages are rejected is soon not listened to, and another one still is", async () => {
    const [bad, judge, good] = [await node(), await node(), await node()];
    const heard = tap(judge, (text) => (text.startsWith("bad") ? "reject" : "accept"));
    for (const network of [bad, good]) {
      tap(network);
      await join(network, judge);
      await warmUp(network, [heard]);
    }
    const began = performance.now();
    for (let sent = 0, before = -1; before !== heard.messages.length; sent += UNHEARD) {
      assert.ok(performance.now() - began < DEADLINE_MS, `${sent} rejected messages and still listened to`);
      before = heard.messages.length;
      for (let i = 0; i < UNHEARD; i++) {
        await bad.publish(TOPIC, Buffer.from(`bad ${sent + i}`));
        // The echo takes the same way after the message, which has been judged when it is back.
        await bad.ping(judge.peerId, deadline());
      }
    }
    assert.ok(heard.messages.length > 0);
    await good.publish(TOPIC, Buffer.from("good"));
    await heard.until("good");
  });

  it("goes on over the one connection that is left when all dialled each other at once", async () => {
    const nodes = [await node(), await node(), await node(), await node()];
    const taps = nodes.map((network) => tap(network));
    const dials = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => ({ from, to })));
    await Promise.all(dials.map(({ from, to }) => from.connect({ addresses: to.addresses() }, deadline())));
    for (const [i, from] of nodes.entries()) {
      const others = taps.filter((_, j) => j !== i);
      await warmUp(from, others);
      await from.publish(TOPIC, Buffer.from(`from ${i}`));
      for (const other of others) await other.until(`from ${i}`);
    }
  });

  it("goes on with a peer that left and came back", async () => {
    const [a, b] = [await node(), await node()];
    const heard = tap(b);
    tap(a);
    for (let round = 0; round < 3; round++) {
      await join(a, b);
      await warmUp(a, [heard]);
      const seen = record(b);
      await a.disconnect(b.peerId);
      await seen.until((events) => events.length > 0);
    }
  });

  it("takes no topic that was not allowed", async () => {
    const a = await node();
    assert.throws(() => a.subscribe("somebody/else/1", () => "accept"), TypeError);
  });
});
