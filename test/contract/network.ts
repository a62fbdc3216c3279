import assert from "node:assert/strict";
import { FRAME_BYTES_MAX, FramesError, type Frames, type FramesErrorCode } from "../../protocols/lib/frames.ts";
import {
  GOSSIP_BYTES_MAX,
  NetworkError,
  type GossipMessage,
  type GossipVerdict,
  type Network,
  type NetworkErrorCode,
  type PeerEvent,
} from "../../src/ports/network.ts";

export interface Federation {
  /** A network with a key of its own, able to reach every other of this federation; not yet started. */
  make(): Promise<Network>;
  /** Stops every network that was made. */
  close(): Promise<void>;
}

const ECHO = "/theprotocol/test-echo/1.0.0";
export const TOPIC = "theprotocol/test/1";
const STREAMS_MAX = 4;
/** A sender that nobody reads must be held back before it has handed over this much. */
const QUEUED_BYTES_MAX = 64 * 1_048_576;
const PROBE_INTERVAL_MS = 50;
const DEADLINE_MS = 8_000;

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

    describe("frames", () => {
      it("carries frames of 1 byte to FRAME_BYTES_MAX whole and in order", async () => {
        const { a, b } = await pair();
        const stream = await a.open(b.peerId, ECHO, deadline());
        const sizes = [1, 2, 127, 128, 16_383, 16_384, 65_536, 300_000, FRAME_BYTES_MAX, 1, FRAME_BYTES_MAX];
        const sending = (async () => {
          for (const [i, size] of sizes.entries()) await stream.send(bytes(size, i));
          await stream.close();
        })();
        for (const [i, size] of sizes.entries()) {
          const frame = await stream.receive();
          assert.ok(frame !== undefined && Buffer.compare(frame, bytes(size, i)) === 0, `frame ${i} of ${size} bytes`);
        }
        await sending;
        assert.equal(await stream.receive(), undefined);
      });

      it("T51 refuses to send an empty frame or one above FRAME_BYTES_MAX, and stays usable", async () => {
        const { a, b } = await pair();
        const stream = await a.open(b.peerId, ECHO, deadline());
        await rejectsFrames(stream.send(new Uint8Array(0)), ["frame_size"]);
        await rejectsFrames(stream.send(new Uint8Array(FRAME_BYTES_MAX + 1)), ["frame_size"]);
        assert.deepEqual(await exchange(stream, bytes(5)), bytes(5));
      });

      it("tells the handler who opened the stream", async () => {
        const { a, b } = await pair();
        const caller = new Promise<string>((resolve) => {
          b.handle("/theprotocol/test-who/1.0.0", (frames, peerId) => (resolve(peerId), frames.close()), {
            streamsPerPeerMax: 1,
          });
        });
        await a.open(b.peerId, "/theprotocol/test-who/1.0.0", deadline());
        assert.equal(await caller, a.peerId);
      });

      it("ends one side at a time: what was sent arrives, and the other side may still answer", async () => {
        const { a, b } = await pair();
        const received: number[] = [];
        b.handle(
          "/theprotocol/test-sum/1.0.0",
          async (frames) => {
            for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive())
              received.push(frame.length);
            await frames.send(bytes(received.length));
            await frames.close();
          },
          { streamsPerPeerMax: 1 },
        );
        const stream = await a.open(b.peerId, "/theprotocol/test-sum/1.0.0", deadline());
        for (const size of [10, 200_000, 30]) await stream.send(bytes(size));
        await stream.close();
        await rejectsFrames(stream.send(bytes(1)), ["closed"]);
        assert.equal((await stream.receive())?.length, 3);
        assert.equal(await stream.receive(), undefined);
        assert.equal(await stream.receive(), undefined);
        assert.deepEqual(received, [10, 200_000, 30]);
      });

      it("an abort breaks both sides, which cannot pass for a clean end", async () => {
        const { a, b } = await pair();
        const broken = new Promise<unknown>((resolve) => {
          const handler = async (frames: Frames): Promise<void> => {
            await frames.send(bytes(1));
            await frames.receive().catch(resolve);
          };
          b.handle("/theprotocol/test-abort/1.0.0", handler, { streamsPerPeerMax: 1 });
        });
        const stream = await a.open(b.peerId, "/theprotocol/test-abort/1.0.0", deadline());
        await stream.receive();
        const pending = rejectsFrames(stream.receive(), ["closed"]);
        stream.abort(new Error("no longer needed"));
        stream.abort(new Error("twice"));
        await pending;
        await rejectsFrames(stream.send(bytes(1)), ["closed"]);
        const error = await broken;
        assert.ok(error instanceof FramesError && error.code === "reset", String(error));
      });

      it("a handler that fails resets the stream", async () => {
        const { a, b } = await pair();
        b.handle("/theprotocol/test-fail/1.0.0", () => Promise.reject(new Error("no")), { streamsPerPeerMax: 1 });
        const stream = await a.open(b.peerId, "/theprotocol/test-fail/1.0.0", deadline());
        await rejectsFrames(stream.receive(), ["reset"]);
      });

      it("T49 holds back a sender whose peer does not read, and lets it go on when it does", async () => {
        const { a, b } = await pair();
        const gate = Promise.withResolvers<void>();
        let read = 0;
        b.handle(
          "/theprotocol/test-slow/1.0.0",
          async (frames) => {
            await gate.promise;
            for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) read += frame.length;
            await frames.close();
          },
          { streamsPerPeerMax: 1 },
        );
        const stream = await a.open(b.peerId, "/theprotocol/test-slow/1.0.0", deadline());
        const frame = bytes(FRAME_BYTES_MAX);
        let sent = 0;
        for (let held = false; !held;) {
          let done = false;
          const sending = stream.send(frame).then(() => (done = true));
          sent += frame.length;
          assert.ok(sent <= QUEUED_BYTES_MAX, "the sender was never held back");
          await Promise.race([sending, a.ping(b.peerId, deadline())]);
          held = !done;
          if (held) gate.resolve();
          await sending;
        }
        await stream.close();
        assert.equal(await stream.receive(), undefined);
        assert.equal(read, sent);
      });

      it("resets streams above streamsPerPeerMax and takes new ones when one has ended", async () => {
        const { a, b } = await pair();
        const open: Frames[] = [];
        for (let i = 0; i < STREAMS_MAX; i++) {
          const stream = await a.open(b.peerId, ECHO, deadline());
          await exchange(stream, bytes(10));
          open.push(stream);
        }
        await assert.rejects(async () => exchange(await a.open(b.peerId, ECHO, deadline()), bytes(10)));
        for (const stream of open) assert.deepEqual(await exchange(stream, bytes(20)), bytes(20));
        await open[0]?.close();
        assert.equal(await open[0]?.receive(), undefined);
        assert.deepEqual(await exchange(await a.open(b.peerId, ECHO, deadline()), bytes(30)), bytes(30));
      });

      it("says why no stream can be opened", async () => {
        const { a, b } = await pair();
        const c = await node();
        await rejectsNetwork(a.open(b.peerId, "/theprotocol/test-none/1.0.0", deadline()), "protocol_unsupported");
        await rejectsNetwork(a.open(c.peerId, ECHO, deadline()), "not_connected");
        await rejectsNetwork(a.open(b.peerId, ECHO, { signal: AbortSignal.abort() }), "timeout");
      });
    });

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

interface Tap {
  readonly messages: GossipMessage[];
  count(text: string): number;
  /** Resolves once `text` has been received. */
  until(text: string): Promise<void>;
}

const PROBE = "probe ";

/** Subscribes and keeps what arrives, apart from the probes of `warmUp`. */
function tap(network: Network, judge: (text: string) => GossipVerdict = () => "accept"): Tap {
  const messages: GossipMessage[] = [];
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();
  network.subscribe(TOPIC, (message) => {
    const text = Buffer.from(message.data).toString();
    if (!text.startsWith(PROBE)) messages.push(message);
    seen.add(text);
    waiting.get(text)?.();
    return judge(text);
  });
  return {
    messages,
    count: (text) => messages.filter((message) => Buffer.from(message.data).toString() === text).length,
    until: (text) =>
      within(`gossip "${text.slice(0, 20)}"`, (resolve) => {
        if (seen.has(text)) resolve();
        else waiting.set(text, resolve);
      }),
  };
}

let probes = 0;

/** Publishes probes until each tap has had one: neighbours learn of subscriptions, and a mesh forms, some time after a connection. */
async function warmUp(from: Network, taps: readonly Tap[]): Promise<void> {
  const waiting = new Set(taps);
  while (waiting.size > 0) {
    const text = `${PROBE}${++probes}`;
    assert.ok(probes < 10_000, "the mesh never formed");
    const arrived = [...waiting].map((each) => each.until(text).then(() => waiting.delete(each)));
    await from.publish(TOPIC, Buffer.from(text));
    await Promise.race([Promise.all(arrived), new Promise((resolve) => setTimeout(resolve, PROBE_INTERVAL_MS))]);
    for (const late of arrived) late.catch(() => undefined);
  }
}

interface Recorder {
  readonly events: PeerEvent[];
  until(enough: (events: readonly PeerEvent[]) => boolean): Promise<void>;
}

function record(network: Network): Recorder {
  const events: PeerEvent[] = [];
  let check = (): void => undefined;
  network.onPeer((event) => {
    events.push(event);
    check();
  });
  return {
    events,
    until: (enough) =>
      within("peer events", (resolve) => {
        check = () => {
          if (enough(events)) resolve();
        };
        check();
      }),
  };
}

/** Connects `a` to `b` and waits until both know. */
async function join(a: Network, b: Network): Promise<void> {
  const seenByB = record(b);
  await a.connect({ addresses: b.addresses() }, deadline());
  if (!b.connected().includes(a.peerId)) await seenByB.until(() => b.connected().includes(a.peerId));
}

async function echo(frames: Frames): Promise<void> {
  for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) await frames.send(frame);
  await frames.close();
}

async function exchange(stream: Frames, frame: Uint8Array): Promise<Uint8Array | undefined> {
  await stream.send(frame);
  const answer = await stream.receive();
  return answer === undefined ? undefined : new Uint8Array(answer);
}

/** Bytes whose content tells a lost, doubled or moved piece. */
function bytes(length: number, seed = 0): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >>> 8) * 17 + seed) & 0xff;
  return out;
}

function withoutPeer(address: string): string {
  return address.slice(0, address.lastIndexOf("/p2p/"));
}

function deadline(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(DEADLINE_MS) };
}

function within(what: string, start: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
    timer.unref();
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function rejectsNetwork(promise: Promise<unknown>, code: NetworkErrorCode): Promise<void> {
  return assert.rejects(promise, (error) => error instanceof NetworkError && (assert.equal(error.code, code), true));
}

function rejectsFrames(promise: Promise<unknown>, codes: readonly FramesErrorCode[]): Promise<void> {
  return assert.rejects(
    promise,
    (error) => error instanceof FramesError && (assert.ok(codes.includes(error.code), error.code), true),
  );
}
