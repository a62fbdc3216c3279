import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { didKey, peerIdOfDid } from "../../protocols/lib/did.ts";
import { NodeError, type ContactProblem, type PeerStatus } from "../../src/api.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { Bench } from "./harness.ts";

describe("cli peer add", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.serve();
  });
  afterEach(() => bench.close());

  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ format: "pem", type: "spki" }) as string;
  const DID = didKey(Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url"));
  const OTHER = didKey(new Uint8Array(32).fill(7));
  const URL = "https://registry.example:8443";
  const multiaddr = (did: string): string => `/dns4/registry.example/tcp/9470/p2p/${peerIdOfDid(did)}`;
  const keyFile = (): string => {
    writeFileSync(join(bench.directory, "peer.pem"), pem);
    return "peer.pem";
  };

  const taken: [what: string, argv: () => string[], address: string][] = [
    ["a URL", () => [URL], URL],
    ["a URL with its pin", () => [`${URL}#${DID}`], `${URL}#${DID}`],
    ["a URL and its DID", () => [URL, "--pin", DID], `${URL}#${DID}`],
    ["a URL and its key in a file", () => [URL, "--public-key", keyFile()], `${URL}#${DID}`],
    ["a URL and its key", () => [URL, "--public-key", pem], `${URL}#${DID}`],
    ["a key on one line", () => [URL, "--public-key", pem.replaceAll("\n", "\\n")], `${URL}#${DID}`],
    ["the same said thrice", () => [`${URL}#${DID}`, "--public-key", pem, "--pin", DID], `${URL}#${DID}`],
    ["a multiaddr", () => [multiaddr(DID)], multiaddr(DID)],
    ["a multiaddr and its key", () => [multiaddr(DID), "--public-key", pem], multiaddr(DID)],
  ];
  for (const [what, argv, address] of taken) {
    it(`takes ${what}`, async () => {
      const run = await bench.run(["peer", "add", ...argv(), "--json"]);
      assert.equal(run.exit, EXIT.ok, run.stderr);
      assert.deepEqual([run.json(), bench.node.peers], [{ added: address, ...bench.node.addition }, [address]]);
    });
  }

  const problem: ContactProblem = { code: "unreachable", reason: "nobody\u0007 answers there", fix: "have it started" };

  it("0: says whom it met", async () => {
    const run = await bench.run(["peer", "add", URL]);
    assert.deepEqual([run.exit, run.stdout], [EXIT.ok, `met birch (did:key:z6MkMet) at ${URL}\n`]);
  });

  it("5: says why it was not reached, what to do, and that it is tried again", async () => {
    bench.node.addition = { outcome: "kept", did: null, problem, retryMsMax: 90_000 };
    const run = await bench.run(["peer", "add", URL]);
    assert.equal(run.exit, EXIT.partial);
    assert.match(run.stdout, /^kept \S+, not reached yet: nobody {2}answers there\n {2}→ have it started\n.*every 1 min 30 s/);
    const { outcome, problem: told } = (await bench.run(["peer", "add", URL, "--json"])).json();
    assert.deepEqual([outcome, told], ["kept", problem]);
  });

  it("4: passes on that somebody else answers there", async () => {
    bench.node.addPeer = () => Promise.reject(new NodeError("refused", `${URL} is ${OTHER}, but its pin is ${DID}`));
    const run = await bench.run(["peer", "add", URL, "--pin", DID]);
    assert.equal(run.exit, EXIT.refused);
    assert.ok(run.stderr.includes(OTHER));
  });

  it("list and status show at which addresses nobody was met, why, and when they are tried again", async () => {
    const ago = new Date(Date.now() - 60_500).toISOString();
    const soon = new Date(Date.now() + 30_500).toISOString();
    const contact = { address: URL, pin: DID, did: DID, problem, lastAttempt: ago, nextAttempt: soon } as const;
    bench.node.contacts = [
      { ...contact, state: "unreachable" },
      { ...contact, address: "https://waiting.example", state: "waiting", problem: null, lastAttempt: null, nextAttempt: null },
      { ...contact, address: "https://met.example", state: "met", problem: null },
    ];
    for (const argv of [["peer", "list"], ["status"]]) {
      const { stdout } = await bench.run(argv);
      assert.match(
        stdout,
        /registry\.example:8443: nobody {2}answers there\n +→ have it started\n +tried 1 min 0 s ago, next in 3[01] s/,
      );
      assert.match(stdout, /waiting\.example: not tried yet/);
      assert.doesNotMatch(stdout, /met\.example/);
    }
    assert.deepEqual((await bench.run(["peer", "list", "--json"])).json(), { peers: [], contacts: bench.node.contacts });
  });

  const ecKey = createPublicKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  const secret = createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" }) as string);
  const refused: [what: string, argv: string[], reason: RegExp][] = [
    ["a URL without encryption", ["http://registry.example"], /must begin with https:\/\/\n {4}→ use https:/],
    ["a multiaddr without a peer id", ["/ip4/127.0.0.1/tcp/1"], /lacks \/p2p\/<peer id>/],
    ["a pin that is no registry", [URL, "--pin", "did:web:x"], /--pin: "did:web:x" is not the DID/],
    ["a key of another kind", [URL, "--public-key", ecKey.export({ format: "pem", type: "spki" }) as string], /is Ed25519/],
    ["a private key", [URL, "--public-key", secret.export({ format: "pem", type: "pkcs8" }) as string], /it is a private key/],
    ["a damaged key", [URL, "--public-key", "-----BEGIN PUBLIC KEY-----\nx"], /--public-key cannot be read/],
    ["pins of different registries", [`${URL}#${OTHER}`, "--public-key", pem], /name different registries/],
    ["a multiaddr of another registry than the pin's", [multiaddr(OTHER), "--pin", DID], /name different registries/],
  ];
  for (const [what, argv, reason] of refused) {
    it(`refuses ${what}`, async () => {
      const run = await bench.run(["peer", "add", ...argv]);
      assert.equal(run.exit, EXIT.usage);
      assert.match(run.stderr, reason);
      assert.deepEqual(bench.node.peers, []);
    });
  }

  it("says of a wrong address what `start --peer` says", async () => {
    const address = "https://me@registry.example";
    const added = (await bench.run(["peer", "add", address])).stderr;
    const started = (await bench.run(["start", "--peer", address, "--data-dir", "elsewhere"])).stderr;
    const words = added.replace("error: ", "").trim();
    assert.ok(started.includes(words), `${words} is not in:\n${started}`);
  });
});

describe("cli peer remove", () => {
  let bench: Bench;
  const DID = didKey(new Uint8Array(32).fill(7));
  const MULTIADDR = `/dns4/registry.example/tcp/9470/p2p/${peerIdOfDid(DID)}`;
  const peer: PeerStatus = {
    ...{ did: DID, name: "acme", state: "alive", agents: 0, mapRoot: null, syncedRoot: null, lastSync: null, rttMs: null },
    ...{ connected: true, followed: true, configured: true, refusedRecords: 0, domain: null, domainVerified: false },
    transport: "libp2p",
  };
  let peers: PeerStatus[];
  let removed: string[];
  beforeEach(async () => {
    bench = new Bench();
    [peers, removed] = [[peer], []];
    bench.node.listPeers = () => Promise.resolve(peers);
    bench.node.removePeer = (which) => Promise.resolve(void removed.push(which));
    await bench.serve();
  });
  afterEach(() => bench.close());

  it("takes a name, and says whose it is", async () => {
    const run = await bench.run(["peer", "remove", "acme"]);
    assert.deepEqual([run.exit, removed, run.stdout], [EXIT.ok, ["acme"], `removed acme (${DID})\n`]);
  });

  it("passes on which registries have the name", async () => {
    bench.node.removePeer = () => Promise.reject(new NodeError("invalid", `2 peers have the name "acme": ${DID}, …`));
    const run = await bench.run(["peer", "remove", "acme"]);
    assert.notEqual(run.exit, EXIT.ok);
    assert.ok(run.stderr.includes(DID));
    assert.doesNotMatch(run.stderr, /note:/);
  });

  const URL = "https://registry.example";
  const settings: [what: string, setting: string, which: string][] = [
    ["a multiaddr, removed by name", MULTIADDR, "acme"],
    ["a multiaddr, removed by DID", MULTIADDR, DID],
    ["a pinned URL, removed by name", `${URL}#${DID}`, "acme"],
    ["a pinned URL, removed by URL", `${URL}#${DID}`, `${URL}/`],
    ["a URL, removed by URL", URL, URL],
  ];
  for (const [what, setting, which] of settings) {
    it(`notes that the settings bring it back: ${what}`, async () => {
      writeFileSync(join(bench.directory, ".env"), `FEDERATION_PEERS=${setting}\n`);
      const run = await bench.run(["peer", "remove", which]);
      const note = `note: it comes back at the next start, unless ${setting} is taken out of FEDERATION_PEERS (.env line 1)`;
      assert.deepEqual([run.exit, run.stderr.trim()], [EXIT.ok, note]);
    });
  }

  it("notes that settings which it does not see may bring back whom the operator named, and nobody else", async () => {
    assert.match((await bench.run(["peer", "remove", "acme"])).stderr, /should FEDERATION_PEERS or --peer of that start name it/);
    peers = [{ ...peer, configured: false }];
    assert.equal((await bench.run(["peer", "remove", "acme"])).stderr, "");
  });

  it("shows whole DIDs in its list, to be copied", async () => {
    assert.ok((await bench.run(["peer", "list"])).stdout.includes(DID));
  });
});
