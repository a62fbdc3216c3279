import assert from "node:assert/strict";
import type { Network } from "../../src/ports/network.ts";
import { framesContract } from "./network-frames.ts";
import { gossipContract } from "./network-gossip.ts";
import {
  bytes,
  deadline,
  DEADLINE_MS,
  ECHO,
  echo,
  exchange,
  join,
  record,
  rejectsFrames,
  rejectsNetwork,
  STREAMS_MAX,
  TOPIC,
  withoutPeer,
} from "./network-support.ts";

export interface Federation {
  /** A network with a key of its own, able to reach every other of this federation; not yet started. */
  make(): Promise<Network>;
  /** Stops every network that was made. */
  close(): Promise<void>;
}

/** What every implementation of the network port must do. */
export function networkContract(name: string, createFederation: () => Promise<Federation>): void {
  describe(`${name}: the network port`, function () {
    this.timeout(15_000);
    let federation: Federation;
    beforeEach(async () => {
      federation = await createFederation();
    });
    afterEach(() => federation.close());

    async function node(): Promise<Network> {
      const network = await federation.make();
      await network.start();
      return network;
    }

    /** Two networks with a connection that both sides have seen; `b` echoes. */
    async function pair(): Promise<{ a: Network; b: Network }> {
      const [a, b] = [await node(), await node()];
      b.handle(ECHO, echo, { streamsPerPeerMax: STREAMS_MAX });
      await join(a, b);
      return { a, b };
    }

    describe("addresses", () => {
      it("lists addresses that name the peer and can be dialled as they are", async () => {
        const [a, b] = [await node(), await node()];
        assert.ok(b.addresses().length > 0 && b.listening().length > 0);
        for (const address of b.addresses()) {
          assert.ok(address.endsWith(`/p2p/${b.peerId}`), address);
          assert.equal(await a.connect({ addresses: [address] }, deadline()), b.peerId);
          await a.disconnect(b.peerId);
        }
      });

      it("has a peer id of its own in each network", async () => {
        const [a, b] = [await federation.make(), await federation.make()];
        assert.match(a.peerId, /^12D3Koo[1-9A-HJ-NP-Za-km-z]+$/);
        assert.notEqual(a.peerId, b.peerId);
      });
    });

    describe("connect", () => {
      it("connects both sides and tells both once", async () => {
        const [a, b] = [await node(), await node()];
        const [seenByA, seenByB] = [record(a), record(b)];
        assert.equal(await a.connect({ peerId: b.peerId, addresses: b.addresses() }, deadline()), b.peerId);
        await seenByB.until((events) => events.length === 1);
        assert.deepEqual(a.connected(), [b.peerId]);
        assert.deepEqual(b.connected(), [a.peerId]);
        assert.deepEqual(seenByA.events, [{ type: "connected", peerId: b.peerId }]);
        assert.deepEqual(seenByB.events, [{ type: "connected", peerId: a.peerId }]);
      });

      it("keeps the connection that is open when asked again, from either side", async () => {
        const { a, b } = await pair();
        const [seenByA, seenByB] = [record(a), record(b)];
        assert.equal(await a.connect({ peerId: b.peerId, addresses: b.addresses() }, deadline()), b.peerId);
        assert.equal(await a.connect({ addresses: b.addresses() }, deadline()), b.peerId);
        assert.equal(await b.connect({ addresses: a.addresses() }, deadline()), a.peerId);
        assert.deepEqual([a.connected(), b.connected()], [[b.peerId], [a.peerId]]);
        assert.deepEqual([seenByA.events, seenByB.events], [[], []]);
      });

      it("tries an address although connected when told to, and breaks no stream in use", async () => {
        const { a, b } = await pair();
        const [c, gone] = [await node(), await node()];
        const dead = gone.addresses();
        await gone.stop();
        b.handle(ECHO, echo, { streamsPerPeerMax: STREAMS_MAX });
        const stream = await a.open(b.peerId, ECHO, deadline());
        const [seenByA, seenByB, seenByC] = [record(a), record(b), record(c)];
        const tryAt = (addresses: readonly string[]): Promise<string> =>
          a.connect({ peerId: b.peerId, addresses: addresses.map(withoutPeer), whileConnected: true }, deadline());
        for (let round = 0; round < 3; round++) {
          assert.equal(await tryAt(b.addresses()), b.peerId);
          await rejectsNetwork(tryAt(dead), "unreachable");
          await rejectsNetwork(tryAt(c.addresses()), "wrong_peer");
          assert.deepEqual(await exchange(stream, bytes(1_000, round)), bytes(1_000, round));
        }
        assert.deepEqual([a.connected(), b.connected(), c.connected()], [[b.peerId], [a.peerId], []]);
        assert.deepEqual([seenByA.events, seenByB.events, seenByC.events], [[], [], []]);
      });

      it("keeps one connection when both dial at once, and breaks no stream in use", async () => {
        const [a, b] = [await node(), await node()];
        const [seenByA, seenByB] = [record(a), record(b)];
        for (const network of [a, b]) network.handle(ECHO, echo, { streamsPerPeerMax: STREAMS_MAX });
        await Promise.all([
          a.connect({ addresses: b.addresses() }, deadline()),
          b.connect({ addresses: a.addresses() }, deadline()),
        ]);
        const streams = await Promise.all([a.open(b.peerId, ECHO, deadline()), b.open(a.peerId, ECHO, deadline())]);
        for (let round = 0; round < 20; round++) {
          for (const stream of streams) assert.deepEqual(await exchange(stream, bytes(1_000, round)), bytes(1_000, round));
        }
        assert.deepEqual([a.connected(), b.connected()], [[b.peerId], [a.peerId]]);
        assert.deepEqual([seenByA.events.length, seenByB.events.length], [1, 1]);
      });

      it("tries the addresses in order until one answers", async () => {
        const [a, gone, b] = [await node(), await node(), await node()];
        const dead = gone.addresses();
        await gone.stop();
        assert.equal(await a.connect({ addresses: [...dead, ...b.addresses()] }, deadline()), b.peerId);
        await rejectsNetwork(a.connect({ addresses: dead }, deadline()), "unreachable");
      });

      it("refuses a peer other than the one that was named", async () => {
        const [a, b, c] = [await node(), await node(), await node()];
        const bare = b.addresses().map(withoutPeer);
        await rejectsNetwork(a.connect({ peerId: c.peerId, addresses: bare }, deadline()), "wrong_peer");
        await rejectsNetwork(a.connect({ peerId: c.peerId, addresses: b.addresses() }, deadline()), "wrong_peer");
        await rejectsNetwork(
          a.connect({ addresses: bare.map((address) => `${address}/p2p/${c.peerId}`) }, deadline()),
          "wrong_peer",
        );
        assert.deepEqual(a.connected(), []);
        assert.equal(await a.connect({ addresses: bare }, deadline()), b.peerId);
      });

      it("names what cannot be dialled at all", async () => {
        const a = await node();
        await rejectsNetwork(a.connect({ addresses: ["not an address"] }, deadline()), "address_invalid");
        await rejectsNetwork(a.connect({ addresses: [] }, deadline()), "unreachable");
        await rejectsNetwork(a.connect({ addresses: a.addresses() }, deadline()), "refused");
      });

      it("gives up when the signal says so", async () => {
        const [a, b] = [await node(), await node()];
        await rejectsNetwork(a.connect({ addresses: b.addresses() }, { signal: AbortSignal.abort() }), "timeout");
        assert.deepEqual(a.connected(), []);
      });

      it("tells both sides of a disconnection, and breaks the streams", async () => {
        const { a, b } = await pair();
        const [seenByA, seenByB] = [record(a), record(b)];
        const stream = await a.open(b.peerId, ECHO, deadline());
        await exchange(stream, bytes(1));
        const pending = rejectsFrames(stream.receive(), ["reset", "closed"]);
        await b.disconnect(a.peerId);
        await Promise.all([
          seenByA.until((events) => events.length === 1),
          seenByB.until((events) => events.length === 1),
          pending,
        ]);
        assert.deepEqual(seenByA.events, [{ type: "disconnected", peerId: b.peerId }]);
        assert.deepEqual(seenByB.events, [{ type: "disconnected", peerId: a.peerId }]);
        assert.deepEqual([a.connected(), b.connected()], [[], []]);
        await a.disconnect(b.peerId);
        await join(a, b);
      });
    });

    describe("gater", () => {
      it("closes an outbound connection that it does not allow", async () => {
        const [a, b] = [await node(), await node()];
        const asked: string[] = [];
        a.setGater((peerId) => asked.push(peerId) === 0);
        await rejectsNetwork(a.connect({ addresses: b.addresses() }, deadline()), "refused");
        assert.deepEqual([a.connected(), [...new Set(asked)]], [[], [b.peerId]]);
      });

      it("closes an inbound connection that it does not allow, and the dialler hears of it", async () => {
        const [a, b] = [await node(), await node()];
        const seenByB = record(b);
        b.setGater((peerId) => peerId !== a.peerId);
        await rejectsNetwork(a.connect({ addresses: b.addresses() }, deadline()), "refused");
        const c = await node();
        await join(c, b);
        assert.deepEqual([a.connected(), b.connected()], [[], [c.peerId]]);
        assert.deepEqual(seenByB.events, [{ type: "connected", peerId: c.peerId }]);
      });

      it("asks about the open connections when it is replaced", async () => {
        const { a, b } = await pair();
        const [seenByA, seenByB] = [record(a), record(b)];
        b.setGater(() => false);
        await Promise.all([seenByA.until((events) => events.length === 1), seenByB.until((events) => events.length === 1)]);
        assert.deepEqual([a.connected(), b.connected()], [[], []]);
      });
    });

    framesContract({ node, pair });

    describe("ping", () => {
      it("times an echo, again and again, and only over an open connection", async () => {
        const { a, b } = await pair();
        const c = await node();
        for (let i = 0; i < 5; i++) {
          const [there, back] = await Promise.all([a.ping(b.peerId, deadline()), b.ping(a.peerId, deadline())]);
          assert.ok(there >= 0 && there < DEADLINE_MS && back >= 0 && back < DEADLINE_MS);
        }
        await rejectsNetwork(a.ping(c.peerId, deadline()), "not_connected");
      });

      it("works again after a reconnection, and gives up when the signal says so", async () => {
        const { a, b } = await pair();
        const [seenByA, seenByB] = [record(a), record(b)];
        await a.ping(b.peerId, deadline());
        await rejectsNetwork(a.ping(b.peerId, { signal: AbortSignal.abort() }), "timeout");
        await a.disconnect(b.peerId);
        await Promise.all([seenByA.until((events) => events.length === 1), seenByB.until((events) => events.length === 1)]);
        await join(a, b);
        assert.ok((await a.ping(b.peerId, deadline())) >= 0);
      });
    });

    gossipContract({ node, pair });

    describe("stop", () => {
      it("closes every connection, and may be called twice", async () => {
        const { a, b } = await pair();
        const seenByA = record(a);
        await Promise.all([b.stop(), b.stop()]);
        await b.stop();
        await seenByA.until((events) => events.length === 1);
        assert.deepEqual([a.connected(), b.connected()], [[], []]);
        await rejectsNetwork(b.connect({ addresses: a.addresses() }, deadline()), "stopped");
        await rejectsNetwork(b.open(a.peerId, ECHO, deadline()), "stopped");
        await rejectsNetwork(b.ping(a.peerId, deadline()), "stopped");
        await rejectsNetwork(b.publish(TOPIC, bytes(1)), "stopped");
      });
    });
  });
}
