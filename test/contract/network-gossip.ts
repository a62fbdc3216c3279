import assert from "node:assert/strict";
import { GOSSIP_BYTES_MAX, type Network } from "../../src/ports/network.ts";
import { deadline, join, rejectsNetwork, tap, TOPIC, warmUp, type Makers } from "./network-support.ts";

/** What gossip must do over every implementation of the network port. */
export function gossipContract({ node }: Makers): void {
  describe("gossip", () => {
    it("reaches all of five nodes in a line, once each, with its author's name", async () => {
      const nodes = [await node(), await node(), await node(), await node(), await node()];
      const taps = nodes.map((network) => tap(network));
      for (let i = 1; i < nodes.length; i++) await join(nodes[i - 1] as Network, nodes[i] as Network);
      const [first, others] = [nodes[0] as Network, taps.slice(1)];
      await warmUp(first, others);
      for (const text of ["one", "two"]) await first.publish(TOPIC, Buffer.from(text));
      for (const other of others) {
        await other.until("two");
        await other.until("one");
        assert.deepEqual([other.count("one"), other.count("two")], [1, 1]);
        assert.ok(other.messages.every((message) => message.from === first.peerId));
      }
      assert.deepEqual(taps[0]?.messages, [], "our own messages do not come back");
    });

    for (const verdict of ["reject", "ignore"] as const) {
      it(`does not pass on what a validator says to ${verdict}`, async () => {
        const [a, b, c] = [await node(), await node(), await node()];
        const middle = tap(b, (text) => (text === "bad" ? verdict : "accept"));
        const end = tap(c);
        tap(a);
        await join(a, b);
        await join(b, c);
        await warmUp(a, [middle, end]);
        await a.publish(TOPIC, Buffer.from("bad"));
        await middle.until("bad");
        await a.publish(TOPIC, Buffer.from("good"));
        await end.until("good");
        assert.deepEqual([middle.count("bad"), end.count("bad")], [1, 0]);
      });
    }

    it("carries GOSSIP_BYTES_MAX and refuses one byte more", async () => {
      const [a, b] = [await node(), await node()];
      const far = tap(b);
      tap(a);
      await join(a, b);
      await warmUp(a, [far]);
      const largest = "x".repeat(GOSSIP_BYTES_MAX);
      await rejectsNetwork(a.publish(TOPIC, Buffer.from(largest + "x")), "message_too_large");
      await a.publish(TOPIC, Buffer.from(largest));
      await far.until(largest);
    });

    it("publishes into the void without an error", async () => {
      const a = await node();
      tap(a);
      await a.publish(TOPIC, Buffer.from("is anybody there"));
    });

    it("does not listen to a peer whose score is −1000", async () => {
      const [a, b, c] = [await node(), await node(), await node()];
      const middle = tap(b);
      for (const network of [a, c]) {
        tap(network);
        await join(network, b);
        await warmUp(network, [middle]);
      }
      b.setPeerScore((peerId) => (peerId === a.peerId ? -1_000 : 0));
      await a.publish(TOPIC, Buffer.from("not heard"));
      await a.ping(b.peerId, deadline());
      await c.publish(TOPIC, Buffer.from("heard"));
      await middle.until("heard");
      assert.equal(middle.count("not heard"), 0);
    });
  });
}
