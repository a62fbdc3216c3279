import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { PeerServer } from "../../adapters/web/support.ts";
import { Foreign } from "./foreign.ts";
import { RegistryProcess, sharedRegistry } from "./process.ts";

/** A port of this machine that must never be asked. */
class Tripwire {
  readonly server: Server;
  /** Connections that came. */
  count = 0;

  private constructor() {
    this.server = createServer((socket) => {
      this.count += 1;
      socket.destroy();
    });
  }

  static async listen(): Promise<Tripwire> {
    const wire = new Tripwire();
    wire.server.listen(0, "127.0.0.1");
    await once(wire.server, "listening");
    return wire;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  close(): void {
    this.server.close();
  }
}

describe("threats over HTTP: URLs that others gave", () => {
  let careful: RegistryProcess;
  let wire: Tripwire;
  const foreigners: Foreign[] = [];

  before(async () => {
    wire = await Tripwire.listen();
    careful = await RegistryProcess.start({ more: ["--log-level", "debug"] });
  });

  after(async () => {
    for (const foreign of foreigners) foreign.close();
    wire.close();
    await careful.stop();
  });

  async function foreign(name: string): Promise<Foreign> {
    const made = await Foreign.create(name);
    foreigners.push(made);
    return made;
  }

  it("T52 a descriptor's URL at a private address is not asked, however it is spelt", async () => {
    const { port } = new URL(wire.url);
    for (const host of ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"]) {
      const peer = await foreign("inward");
      await peer.announce(careful, peer.describe({ facade: { urls: [`https://${host}:${port}`] } }));
      await careful.logged("could not be met over the web", peer.did, "forbidden_address");
    }
    assert.equal(wire.count, 0);
  });

  it("T52 a descriptor's multiaddr at a private address is not dialled, however it is spelt", async () => {
    for (const host of ["ip4/127.0.0.1", "dns4/localhost", "dns/localhost", "ip6/::ffff:127.0.0.1"]) {
      const peer = await foreign("inward");
      await peer.announce(careful, peer.describe({ multiaddrs: [`/${host}/tcp/${wire.port}`] }));
      await careful.logged("a registry could not be reached", peer.did, "forbidden_address");
    }
    assert.equal(wire.count, 0);
    // The operator is told once what to do about it.
    assert.equal(careful.log.split("is at a private address and is not dialled").length - 1, 1);
    assert.match(careful.log, /FEDERATION_ALLOW_PRIVATE_ADDRESSES=true/);
  });

  it("T52 the same are dialled where the operator allows it", async () => {
    const open = await sharedRegistry();
    const peer = await foreign("inward");
    const dialled = await Tripwire.listen();
    const connected = once(dialled.server, "connection");
    await peer.announce(open, peer.describe({ multiaddrs: [`/dns4/localhost/tcp/${dialled.port}`] }));
    await connected;
    dialled.close();
  });

  it("T52 the same is asked where the operator allows it", async () => {
    const open = await sharedRegistry();
    const peer = await foreign("inward");
    const asked = await Tripwire.listen();
    const connected = once(asked.server, "connection");
    await peer.announce(open, peer.describe({ facade: { urls: [asked.url] } }));
    await connected;
    asked.close();
  });

  it("T52 a claimed domain (did:web) at a private address is not asked for its document", async () => {
    for (const domain of ["localhost", "127.0.0.1"]) {
      const peer = await foreign("claims");
      await peer.announce(careful, peer.describe({ domain }));
      await careful.logged("the DID document of a claimed domain could not be had", `"${domain}"`, "forbidden_address");
    }
    const { peers } = await careful.admin.status();
    assert.ok(peers.filter(({ domain }) => domain !== null).every(({ domainVerified }) => !domainVerified));
  });

  it("T52 no redirect is followed, wherever it leads", async () => {
    const open = await sharedRegistry();
    const redirecting = await PeerServer.start("redirects");
    const twice = Promise.withResolvers<void>();
    redirecting.answer = () => {
      // The second one comes after all that followed the first.
      if (redirecting.calls.length >= 2) twice.resolve();
      return { status: 307, headers: { location: `${wire.url}/federation/public` } };
    };
    const peer = await foreign("messenger");
    const descriptor = redirecting.describe();
    const { identity, credentials } = redirecting;
    Object.assign(peer, { identity, svid: credentials.svid(), authority: credentials.authority });
    await peer.announce(open, descriptor);
    await twice.promise;
    assert.equal(wire.count, 0);
    await redirecting.close();
  });

  it("T52 an agent's endpoints and documents are published as they are, and never fetched", async () => {
    const body = JSON.stringify({
      ...{ humanReadableId: "acme/inward", name: "inward", description: "d", version: "1", status: "active" },
      ...{ capabilities: ["a"], tags: [], endpoints: [{ url: wire.url, protocol: "https" }] },
    });
    const headers = { authorization: `Bearer ${careful.operatorToken}`, "content-type": "application/json" };
    const peer = await foreign("reader");
    const created = await peer.ask(careful, { method: "POST", path: "/agents", body, headers });
    assert.equal(created.status, 201, created.body.toString());
    assert.equal((await peer.ask(careful, { path: String(created.headers.location) })).status, 200);
    assert.equal(wire.count, 0);
  });
});
