import assert from "node:assert/strict";
import { encodeCommit } from "../protocols/checkpoint/commit.ts";
import type { Check, PeerContact, PeerStatus, Status } from "../src/api.ts";
import { MemoryStore } from "../src/adapters/memory/store.ts";
import { checkClocks, diagnose, SKEW_AHEAD_MS_MAX, SKEW_BEHIND_MS_MAX, type DiagnosisParts } from "../src/diagnosis.ts";
import type { MemberView } from "../src/membership/messages.ts";
import { MapNode, realClock } from "./admin/map-node.ts";

const NOW_MS = 1_800_000_000_000;
const ZERO = "00".repeat(32);

function member(aheadMs: number, connected = true): MemberView {
  const time = NOW_MS + aheadMs;
  const commit = encodeCommit({ agents: 0, changes: 0, epoch: 0, prev: { map: ZERO }, roots: { map: ZERO }, seq: 0, time });
  const head = { note: "", commit, logProof: [] };
  const rest = { state: "alive", configured: true, rttMs: 1, epoch: 0 } as const;
  return {
    did: `did:key:${aheadMs}`,
    peerId: "",
    name: `registry ${aheadMs}`,
    connected,
    head,
    ...rest,
  } as unknown as MemberView;
}

const PEER: PeerStatus = {
  ...{ did: "did:key:z6MkPeer", name: "birch", state: "alive", agents: 3, mapRoot: null, syncedRoot: null, lastSync: null },
  ...{ rttMs: 1.25, connected: true, followed: true, configured: true, refusedRecords: 0 },
  ...{ domain: null, domainVerified: false, transport: "libp2p" },
};

describe("diagnosis", () => {
  const node = new MapNode();
  const look = async (more: Partial<DiagnosisParts>): Promise<Map<string, Check>> => {
    const store = new MemoryStore();
    const status = (): Promise<Status> => node.status();
    const none = { syncStatus: () => Promise.resolve([]), members: () => Promise.resolve([]) };
    const { checks } = await diagnose({ clock: realClock, store, status, ...none, ...more });
    return new Map(checks.map((check) => [check.name, check]));
  };
  const withStatus = (change: (status: Status) => Status): Partial<DiagnosisParts> => ({
    status: async () => change(await node.status()),
  });

  it("finds nothing wrong with a registry that works, and leaves no row behind", async () => {
    const store = new MemoryStore();
    const checks = await look({ store });
    assert.deepEqual(
      [...checks].map(([name, { state, fix }]) => [name, state, fix]),
      [
        ["store", "ok", null],
        ["catalogue", "ok", null],
        ["clock", "skipped", null],
      ],
    );
    for await (const rows of store.scan({ from: new Uint8Array(0), to: Uint8Array.of(0xff) })) assert.deepEqual(rows, []);
  });

  it("T45 reports a store that reads something else than was written", async () => {
    const store = new MemoryStore();
    store.get = () => Promise.resolve(Uint8Array.of(1));
    const check = (await look({ store })).get("store");
    assert.equal(check?.state, "failed");
    assert.match(check?.fix ?? "", /disk/);
  });

  it("reports a store that fails, and goes on", async () => {
    const store = new MemoryStore();
    await store.close();
    const checks = await look({ store });
    assert.deepEqual([checks.get("store")?.state, checks.get("catalogue")?.state], ["failed", "ok"]);
  });

  it("reports a catalogue that signs nothing, and why", async () => {
    const paused = withStatus((status) => ({ ...status, catalog: { ...status.catalog, paused: "settling our own head" } }));
    const check = (await look(paused)).get("catalogue");
    assert.equal(check?.state, "failed");
    assert.match(check?.found ?? "", /settling our own head/);
  });

  it("T47 compares the clocks of connected registries, within bounds", () => {
    assert.equal(checkClocks([member(0), member(-SKEW_BEHIND_MS_MAX), member(SKEW_AHEAD_MS_MAX)], NOW_MS).state, "ok");
    const one = checkClocks([member(0), member(1), member(SKEW_AHEAD_MS_MAX + 1)], NOW_MS);
    assert.equal(one.state, "warning");
    assert.match(one.found, /1 of 3 .* registry 10001 signed 10 s ahead of our clock/);
    assert.match(one.fix ?? "", /that registry's operator/);
    const most = checkClocks([member(600_000), member(600_500), member(0)], NOW_MS);
    assert.match(most.fix ?? "", /likely our clock/);
    assert.equal(checkClocks([member(-SKEW_BEHIND_MS_MAX - 1)], NOW_MS).state, "warning");
    assert.equal(checkClocks([member(600_000, false)], NOW_MS).state, "skipped", "a registry that is away tells nothing");
  });

  it("says of each peer that matters how it is reached", async () => {
    const away: PeerStatus = { ...PEER, did: "did:key:z6MkAway", connected: false, transport: null, state: "gone" };
    const stranger: PeerStatus = { ...away, did: "did:key:z6MkStranger", configured: false, followed: false };
    const broken = { ...PEER, did: "did:key:z6MkBroken", transport: "http" } as const;
    const sync = { did: broken.did, name: "", state: "failed", lastError: "the proof does not hold" } as const;
    const numbers = { agents: 0, received: 0, total: 0, syncedRoot: null, targetRoot: null, lastSync: null };
    const checks = await look({
      ...withStatus((status) => ({ ...status, peers: [PEER, away, stranger, broken] })),
      syncStatus: () => Promise.resolve([{ ...sync, ...numbers }]),
    });
    assert.equal(checks.get(`peer ${PEER.did}`)?.found, "birch over libp2p, round trip 1.3 ms, never synced");
    assert.equal(checks.get(`peer ${away.did}`)?.state, "warning");
    assert.match(checks.get(`peer ${broken.did}`)?.found ?? "", /over http.*the proof does not hold/);
    assert.equal(checks.has(`peer ${stranger.did}`), false);
  });

  it("says of each address that the operator named what came of it, and of its registry why it is not reached", async () => {
    const problem = { code: "wrong_pin", reason: "who answers there is another", fix: "correct the pin" } as const;
    const contact = { pin: null, did: PEER.did, problem: null, lastAttempt: "2026-01-01T00:00:00.000Z", nextAttempt: null };
    const away: PeerStatus = { ...PEER, did: "did:key:z6MkAway", connected: false, transport: null, state: "new" };
    const contacts: PeerContact[] = [
      { ...contact, address: "https://met.example", state: "met" },
      { ...contact, address: "https://wrong.example", state: "refused", did: away.did, problem },
      { ...contact, address: "https://new.example", state: "waiting", did: null, lastAttempt: null },
    ];
    const checks = await look(withStatus((status) => ({ ...status, peers: [away], contacts })));
    const states = contacts.map(({ address }) => checks.get(`contact ${address}`)?.state);
    assert.deepEqual(states, ["ok", "warning", "skipped"]);
    const wrong = checks.get("contact https://wrong.example");
    assert.deepEqual(wrong?.fix, "correct the pin");
    assert.match(wrong?.found ?? "", /is another \(tried at 2026-01-01/);
    assert.match(checks.get(`peer ${away.did}`)?.found ?? "", /not reached \(new\), never synced: who answers there is another/);
  });
});
