import assert from "node:assert/strict";
import type { Received } from "../../facade/client.ts";
import { Foreign, sendShed } from "./foreign.ts";
import { RegistryProcess } from "./process.ts";

describe("threats over HTTP: descriptors", () => {
  let target: RegistryProcess;

  before(async () => {
    target = await RegistryProcess.start({ more: ["--allow-private-addresses", "true"] });
  });

  after(() => target.stop());

  const read = (peer: Foreign): Promise<Received> => peer.ask(target, peer.signedRead(target));
  const evidence = async (): Promise<number> => (await target.admin.status()).evidence;

  async function assertIsolated(peer: Foreign): Promise<void> {
    for (const request of [peer.signedRead(target), peer.announcement(target)]) {
      const { status, problem } = await peer.ask(target, request);
      assert.deepEqual([status, problem?.code], [403, "isolated"]);
    }
  }

  it("T8 an older descriptor that is replayed is ignored, and with it the authority that it names", async () => {
    const peer = await Foreign.create("peer");
    const older = peer.describe();
    await peer.announce(target, older);
    const leafBefore = peer.svid;
    const nameBefore = peer.identity.name;
    await peer.replaceAuthority();
    await peer.announce(target);
    assert.equal((await read(peer)).status, 200);

    const session = peer.connect(target, { present: leafBefore });
    const replayed = await sendShed(session, peer.announcement(target, older));
    assert.equal(replayed.status, 200, "it is no misbehaviour to be late");
    const refused = await sendShed(session, peer.signedRead(target));
    assert.deepEqual([refused.status, refused.problem?.code], [403, "certificate_refused"]);
    assert.equal((await read(peer)).status, 200);
    const { peers } = await target.admin.status();
    assert.deepEqual(
      peers.map(({ did, name }) => [did, name]),
      [[peer.did, nameBefore]],
    );
    assert.equal(await evidence(), 0);
    peer.close();
  });

  it("T9 two descriptors of one sequence with different content are evidence: refused from then on, also after a crash", async () => {
    const [liar, honest] = [await Foreign.create("liar"), await Foreign.create("honest")];
    await honest.announce(target);
    const one = liar.describe({ sequence: 7, facade: { urls: ["https://one.example"] } });
    const other = liar.describe({ sequence: 7, facade: { urls: ["https://two.example"] } });
    await liar.announce(target, one);
    await liar.announce(target, one);
    assert.equal(await evidence(), 0, "the same descriptor twice is none");
    await liar.ask(target, liar.announcement(target, other));
    assert.equal(await evidence(), 1);
    await assertIsolated(liar);
    assert.equal((await read(honest)).status, 200);
    const { dataDir, port } = target;
    await target.kill();
    target = await RegistryProcess.start({ dataDir, port, more: ["--allow-private-addresses", "true"] });
    assert.equal(await evidence(), 1);
    await assertIsolated(liar);
    assert.equal((await read(honest)).status, 200);
    for (const foreign of [liar, honest]) foreign.close();
  });
});
