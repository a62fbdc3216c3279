import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { LevelDatastore } from "datastore-level";
import { peerIdOf } from "../../../protocols/lib/did.ts";
import { NetworkError, type Network } from "../../../src/ports/network.ts";
import { deadline, ECHO, echo, exchange, join, record, rejectsNetwork, TOPIC } from "../../contract/network-support.ts";
import { LOOPBACK, makeNetwork } from "./lib.ts";

/** A process may live this long after its network stopped: one of libp2p's timers runs on for up to a second. */
const EXIT_MS_MAX = 2_000;

describe("libp2p: keys, addresses, start and stop", function () {
  this.timeout(20_000);
  const made: Network[] = [];
  function make(options: Parameters<typeof makeNetwork>[0] = {}): Network {
    const network = makeNetwork(options);
    made.push(network);
    return network;
  }
  afterEach(() => Promise.all(made.splice(0).map((network) => network.stop())));

  it("takes the key as a seed or as a KeyObject, and is known by the registry's own peer id", () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const { d, x } = privateKey.export({ format: "jwk" });
    const peerId = peerIdOf(Buffer.from(x ?? "", "base64url"));
    assert.equal(make({ key: privateKey }).peerId, peerId);
    assert.equal(make({ key: Buffer.from(d ?? "", "base64url") }).peerId, peerId);
  });

  it("refuses keys that are not private Ed25519 keys", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const publicKey = createPublicKey(generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
    for (const key of [createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" })), publicKey, new Uint8Array(31)]) {
      assert.throws(() => make({ key }), TypeError);
    }
  });

  it("names the address that is in use, also when others are free", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const taken = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
    const starting = make({ listen: [LOOPBACK, taken] }).start();
    await assert.rejects(
      starting,
      (error) => error instanceof NetworkError && error.code === "address_in_use" && error.message.includes(taken),
    );
    server.close();
  });

  it("names an address that the machine does not have", async () => {
    await rejectsNetwork(make({ listen: ["/ip4/192.0.2.1/tcp/0"] }).start(), "address_invalid");
  });

  for (const address of ["/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/ip4/1.2.3.4/tcp/70000", "/unix/tmp", "tcp://127.0.0.1:1"]) {
    it(`refuses to listen on ${address}`, () => {
      assert.throws(() => make({ listen: [address] }), { code: "address_invalid" });
    });
  }

  it("lists what a wildcard stands for, the loopback last", async () => {
    const network = make({ listen: ["/ip4/0.0.0.0/tcp/0"] });
    await network.start();
    const [bound] = network.listening();
    assert.match(bound ?? "", /^\/ip4\/0\.0\.0\.0\/tcp\/[1-9]\d*$/);
    const addresses = network.addresses();
    assert.ok(addresses.length > 0 && addresses.every((address) => !address.includes("/0.0.0.0/")));
    assert.ok(addresses.at(-1)?.startsWith("/ip4/127."));
    assert.equal(addresses.filter((address) => address.startsWith("/ip4/127.")).length, 1);
  });

  it("announces what it is told to, and only in its own name", async () => {
    const network = make({ announce: ["/dns4/registry.example/tcp/4001"] });
    await network.start();
    assert.deepEqual(network.addresses(), [`/dns4/registry.example/tcp/4001/p2p/${network.peerId}`]);
    assert.throws(() => make({ announce: [`/ip4/1.2.3.4/tcp/1/p2p/${network.peerId}`] }), { code: "address_invalid" });
  });

  it("starts again after it stopped, with its handlers, topics and gater", async () => {
    const [a, b] = [make(), make()];
    b.handle(ECHO, echo, { streamsPerPeerMax: 1 });
    const heard = new Promise<string>((resolve) => {
      b.subscribe(TOPIC, (message) => {
        resolve(message.from);
        return "accept";
      });
    });
    await Promise.all([a.start(), b.start()]);
    await b.stop();
    await b.start();
    await join(a, b);
    const stream = await a.open(b.peerId, ECHO, deadline());
    assert.deepEqual(await exchange(stream, Buffer.from("again")), new Uint8Array(Buffer.from("again")));
    a.subscribe(TOPIC, () => "accept");
    const publishing = setInterval(() => void a.publish(TOPIC, Buffer.from(String(performance.now()))), 50);
    assert.equal(await heard.finally(() => clearInterval(publishing)), a.peerId);
  });

  it("remembers peers in the datastore that it is given", async () => {
    const directory = await mkdtemp(joinPath(tmpdir(), "registry-peers-"));
    const datastore = new LevelDatastore(directory);
    await datastore.open();
    try {
      const [a, b] = [make({ datastore }), make()];
      await Promise.all([a.start(), b.start()]);
      await a.connect({ addresses: b.addresses() }, deadline());
      await a.stop();
      const keys: string[] = [];
      for await (const key of datastore.queryKeys({})) keys.push(key.toString());
      assert.ok(keys.filter((key) => key.startsWith("/peers/")).length >= 2, keys.join());
    } finally {
      await datastore.close();
      await rm(directory, { recursive: true });
    }
  });

  it("every pair of six that dial each other at once keeps one connection", async () => {
    const nodes = [make(), make(), make(), make(), make(), make()];
    await Promise.all(nodes.map((node) => node.start()));
    const recorders = nodes.map((node) => record(node));
    for (const node of nodes) node.handle(ECHO, echo, { streamsPerPeerMax: 2 });
    const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => ({ from, to })));
    await Promise.all(
      pairs.map(async ({ from, to }) => {
        await from.connect({ addresses: to.addresses() }, deadline());
        const stream = await from.open(to.peerId, ECHO, deadline());
        for (let round = 0; round < 5; round++) assert.equal((await exchange(stream, Buffer.from("x")))?.length, 1);
      }),
    );
    for (const [i, node] of nodes.entries()) {
      assert.equal(new Set(node.connected()).size, nodes.length - 1);
      assert.deepEqual(
        recorders[i]?.events.map((event) => event.type),
        Array<string>(nodes.length - 1).fill("connected"),
      );
    }
  });

  it("lets the process end soon after it stopped", async () => {
    const child = fork(new URL("./stopper.ts", import.meta.url));
    const stopped = await new Promise<number>((resolve) => child.once("message", () => resolve(performance.now())));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(code, 0);
    assert.ok(performance.now() - stopped < EXIT_MS_MAX);
  });
});
