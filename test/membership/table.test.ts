import assert from "node:assert/strict";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { GONE_AFTER_MS, MemberTable, stateOf, SUSPECT_AFTER_MS } from "../../src/membership/table.ts";

function did(i: number): string {
  return createRegistryIdentity(Buffer.alloc(32, i), `n${i}`).did;
}

describe("the table of members", () => {
  it("lets go of the one that was silent for longest, never of those that matter", () => {
    const gone: string[] = [];
    const table = new MemberTable(
      4,
      (which) => which === did(4),
      (which) => gone.push(which),
    );
    const [configured, connected, silent] = [1, 2, 3].map((i) => table.ensure(did(i)));
    assert.ok(configured && connected && silent && table.ensure(did(4)));
    configured.configured = true;
    connected.connected = true;
    silent.seenAtMs = 5;
    assert.ok(table.ensure(did(5)));
    assert.deepEqual(gone, [did(3)]);
    assert.ok(table.ensure(did(6)));
    assert.deepEqual(gone, [did(3), did(5)]);
    (table.get(did(6)) as { connected: boolean }).connected = true;
    assert.equal(table.ensure(did(7)), undefined);
    assert.equal(table.size, 4);
    assert.equal(table.byPeer(silent.peerId), undefined);
  });

  it("calls a member suspect, then gone, by how long it was silent", () => {
    const table = new MemberTable(
      4,
      () => false,
      () => undefined,
    );
    const member = table.ensure(did(1));
    assert.ok(member);
    assert.equal(stateOf(member, 1_000), "new");
    member.seenAtMs = 0;
    assert.equal(stateOf(member, SUSPECT_AFTER_MS), "alive");
    assert.equal(stateOf(member, SUSPECT_AFTER_MS + 1), "suspect");
    assert.equal(stateOf(member, GONE_AFTER_MS + 1), "gone");
    member.connected = true;
    assert.equal(stateOf(member, GONE_AFTER_MS + 1), "suspect");
  });
});
