import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import type { Libp2p } from "libp2p";
import { FRAME_BYTES_MAX, type Frames } from "../../../protocols/lib/frames.ts";
import { framePrefix } from "../../../src/adapters/libp2p/frame-codec.ts";
import type { Network } from "../../../src/ports/network.ts";
import { deadline, ECHO, rejectsFrames } from "../../contract/network-support.ts";
import { makeNetwork, makeStranger, nextEvent } from "./lib.ts";

/** Peers that break the rules, and peers that die. */
describe("libp2p: peers that do not keep to the rules", function () {
  this.timeout(15_000);
  let network: Network;
  let stranger: Libp2p;
  let served: Promise<Frames>;

  beforeEach(async () => {
    [network, stranger] = [makeNetwork(), await makeStranger()];
    served = new Promise((resolve) => {
      network.handle(
        ECHO,
        (frames) => {
          resolve(frames);
          return Promise.resolve();
        },
        { streamsPerPeerMax: 2 },
      );
    });
    await network.start();
  });
  afterEach(async () => {
    await network.stop();
    await stranger.stop();
  });

  async function stream(): ReturnType<Libp2p["dialProtocol"]> {
    return stranger.dialProtocol(multiaddr(network.addresses()[0] as string), ECHO);
  }

  it("talks to any libp2p node that answers pings", async () => {
    const [address] = stranger.getMultiaddrs();
    const peerId = await network.connect({ addresses: [String(address)] }, deadline());
    assert.equal(peerId, stranger.peerId.toString());
    assert.ok((await network.ping(peerId, deadline())) > 0);
    assert.ok((await network.ping(peerId, deadline())) > 0);
  });

  it("T51 a frame that is announced too long breaks the stream before it is read", async () => {
    const raw = await stream();
    const reset = new Promise((resolve) => raw.addEventListener("close", resolve, { once: true }));
    raw.send(framePrefix(FRAME_BYTES_MAX + 1));
    await rejectsFrames((await served).receive(), ["frame_size"]);
    await reset;
    assert.equal(raw.status, "reset");
  });

  it("T51 a stream that ends inside a frame does not pass for a clean end", async () => {
    const raw = await stream();
    raw.send(Uint8Array.of(3, 1, 2));
    await raw.close();
    await rejectsFrames((await served).receive(), ["truncated"]);
  });

  it("T36 a connection that is lost between two frames does not pass for a clean end", async () => {
    const raw = await stream();
    raw.send(Uint8Array.of(1, 7));
    const frames = await served;
    assert.deepEqual([...((await frames.receive()) ?? [])], [7]);
    const pending = rejectsFrames(frames.receive(), ["reset"]);
    const gone = nextEvent(network, "disconnected");
    for (const connection of stranger.getConnections()) connection.abort(new Error("cable cut"));
    await pending;
    assert.equal(await gone, stranger.peerId.toString());
  });

  it("T36 a peer that is killed is noticed at once, and its stream breaks", async () => {
    const child = fork(new URL("./victim.ts", import.meta.url));
    try {
      const address = await new Promise<string>((resolve) => child.once("message", (message) => resolve(message as string)));
      const peerId = await network.connect({ addresses: [address] }, deadline());
      const frames = await network.open(peerId, ECHO, deadline());
      await frames.send(Buffer.from("alive"));
      assert.equal(Buffer.from((await frames.receive()) ?? []).toString(), "alive");
      const gone = nextEvent(network, "disconnected");
      const pending = rejectsFrames(frames.receive(), ["reset"]);
      child.kill("SIGKILL");
      await pending;
      assert.equal(await gone, peerId);
      assert.deepEqual(network.connected(), []);
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("a peer that answers no ping is never told of and is dropped", async () => {
    await stranger.unhandle("/ipfs/ping/1.0.0");
    const [address] = stranger.getMultiaddrs();
    await assert.rejects(network.connect({ addresses: [String(address)] }, deadline()), { code: "refused" });
    assert.deepEqual(network.connected(), []);
    assert.deepEqual(stranger.getConnections(peerIdFromString(network.peerId)), []);
  });
});
