import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { createNames } from "../../../src/adapters/names/names.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import type { Network } from "../../../src/ports/network.ts";
import { deadline } from "../../contract/network-support.ts";
import { SilentDns } from "../names/silent-dns.ts";
import { makeNetwork } from "./lib.ts";

/** What peers say of themselves, strangers among them, over real libp2p on the loopback. */
describe("libp2p: addresses that peers say are theirs", () => {
  let inside: Server;
  let port: number;
  let connections = 0;
  let dns: SilentDns;
  let networks: Network[];

  beforeEach(async () => {
    connections = 0;
    networks = [];
    inside = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(inside, "listening");
    ({ port } = inside.address() as AddressInfo);
    dns = await SilentDns.listen();
  });

  afterEach(async () => {
    await Promise.all(networks.map((network) => network.stop()));
    inside.close();
    dns.close();
  });

  async function network(allowPrivateAddresses = false): Promise<Network> {
    const names = createNames({ clock: systemClock(), servers: [dns.server] });
    const made = makeNetwork({ allowPrivateAddresses, names });
    networks.push(made);
    await made.start();
    return made;
  }

  it("T52 are not dialled where they lead inside, however they say it", async () => {
    dns.known.set("inward.example", "127.0.0.1");
    const careful = await network();
    const spelt = ["ip4/127.0.0.1", "ip6/::1", "ip6/::ffff:127.0.0.1", "ip4/0.0.0.0", "ip4/169.254.169.254", "ip4/192.168.1.1"];
    const names = ["dns4/localhost", "dns/localhost", "dns6/localhost", "dns4/inward.example", "dns/inward.example"];
    for (const host of [...spelt, ...names]) {
      const said = [`/${host}/tcp/${port}`];
      await assert.rejects(careful.connect({ addresses: [], said }, deadline()), { code: "forbidden_address" }, host);
    }
    assert.equal(connections, 0);
  });

  it("T52 are dialled where the operator allows it, or wants that peer; as is what the operator named", async () => {
    const [careful, open, peer] = [await network(), await network(true), await network()];
    const said = peer.addresses();
    const alone = said.map((address) => address.replace("/ip4/127.0.0.1/", "/dns4/localhost/"));
    const nobody: string[] = [];
    await assert.rejects(careful.connect({ addresses: nobody, said }, deadline()), { code: "forbidden_address" });
    assert.equal(await open.connect({ addresses: nobody, said }, deadline()), peer.peerId);
    assert.equal(await careful.connect({ addresses: nobody, said: alone, trusted: true }, deadline()), peer.peerId);
    await careful.disconnect(peer.peerId);
    assert.equal(await careful.connect({ addresses: said, said: [`/ip4/127.0.0.1/tcp/${port}`] }, deadline()), peer.peerId);
    assert.equal(connections, 0);
  });

  it("T52 a name is looked up once, and what was checked is what is dialled", async () => {
    dns.known.set("peer.example", "127.0.0.1");
    const [open, peer] = [await network(true), await network()];
    const said = peer.addresses().map((address) => address.replace("/ip4/127.0.0.1/", "/dns4/peer.example/"));
    assert.equal(await open.connect({ addresses: [], said }, deadline()), peer.peerId);
    assert.deepEqual([...dns.asked], ["peer.example"]);
  });

  it("T49 names that are never answered keep no address of the operator waiting", async () => {
    const [careful, peer] = [await network(), await network()];
    const giveUp = new AbortController();
    const stuck = Array.from({ length: 24 }, (_, index) =>
      assert.rejects(
        careful.connect({ addresses: [], said: [`/dns4/a${index}.tarpit.example/tcp/1`] }, { signal: giveUp.signal }),
        { code: "timeout" },
      ),
    );
    await dns.askedFor(1);
    const named = peer.addresses().map((address) => address.replace("/ip4/127.0.0.1/", "/dns4/localhost/"));
    assert.equal(await careful.connect({ addresses: named }, deadline()), peer.peerId);
    giveUp.abort();
    await Promise.all(stuck);
  });
});
