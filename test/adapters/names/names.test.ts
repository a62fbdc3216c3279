import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { GIVEN_LOOKUPS_MAX, GIVEN_LOOKUPS_WAITING_MAX, GivenNames } from "../../../src/adapters/names/given-names.ts";
import { createNames } from "../../../src/adapters/names/names.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import { HURRY, hurried, PeerServer, signal, webOf } from "../web/support.ts";
import { SilentDns } from "./silent-dns.ts";

const TARPITS = 24;

function tarpits(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index}.tarpit.example`);
}

describe("names that others gave", () => {
  let silent: SilentDns;

  beforeEach(async () => {
    silent = await SilentDns.listen();
  });

  afterEach(() => silent.close());

  it("T49 names that are never answered keep no name of the operator waiting, and end with who asked for them", async () => {
    const names = createNames({ clock: systemClock(), servers: [silent.server] });
    const { web } = await webOf({ names });
    const named = await PeerServer.start("named");
    const descriptor = named.describe();
    named.answer = () => ({ body: named.introduction() });
    const giveUp = new AbortController();
    const stuck = tarpits(TARPITS).map((host) =>
      assert.rejects(
        web.announce(named.peer({ url: `https://${host}`, named: false }), { descriptor }, { signal: giveUp.signal }),
        { name: "WebError" },
      ),
    );
    // From the one resolver that was given, so none of them is with the system's.
    await silent.askedFor(GIVEN_LOOKUPS_MAX);
    const introduced = await web.introduction({ url: `https://localhost:${named.port}`, named: true }, { signal: signal() });
    assert.ok(introduced.descriptor.length > 0);
    assert.equal(silent.asked.size, GIVEN_LOOKUPS_MAX);
    giveUp.abort(new Error("enough"));
    await Promise.all([...stuck, web.close(), named.close()]);
  });

  it("T49 are given up after a bounded time, and then keep no new name waiting", async () => {
    silent.known.set("honest.example", "192.0.2.7");
    const system = systemClock();
    let times = HURRY;
    const clock: Clock = { ...hurried(), after: (ms, fire) => system.after(ms / times, fire) };
    const given = new GivenNames({ clock, servers: [silent.server] });
    const slow = tarpits(GIVEN_LOOKUPS_MAX);
    const late = { name: "NetworkError", code: "timeout" };
    await Promise.all(slow.map((host) => assert.rejects(given.lookup(host, signal()), late)));
    times = 1;
    const stuck = new AbortController();
    let ended = 0;
    const again = slow.map((host) => assert.rejects(given.lookup(host, stuck.signal).finally(() => (ended += 1))));
    const expected: LookupAddress[] = [{ address: "192.0.2.7", family: 4 }];
    assert.deepEqual(await given.lookup("honest.example", signal()), expected);
    assert.equal(ended, 0);
    stuck.abort(new Error("enough"));
    await Promise.all(again);
  });

  it("T49 wait in a line that is bounded, and leave it with who asked for them", async () => {
    const given = new GivenNames({ clock: systemClock(), servers: [silent.server] });
    const giveUp = new AbortController();
    const waiting = tarpits(GIVEN_LOOKUPS_MAX + GIVEN_LOOKUPS_WAITING_MAX).map((host) =>
      assert.rejects(given.lookup(host, giveUp.signal), /enough/),
    );
    await assert.rejects(given.lookup("one.more.example", signal()), { code: "timeout", message: /wait to be looked up/ });
    giveUp.abort(new Error("enough"));
    await Promise.all(waiting);
    silent.known.set("honest.example", "192.0.2.7");
    assert.equal((await given.lookup("honest.example", signal())).length, 1);
    assert.ok(silent.asked.size <= GIVEN_LOOKUPS_MAX + 1, `${silent.asked.size} names were asked for`);
  });

  it("T52 names of this machine stay on it: no resolver is asked for them", async () => {
    const given = new GivenNames({ clock: systemClock(), servers: [silent.server] });
    for (const host of ["localhost", "LOCALHOST.", "metadata.localhost"]) {
      assert.deepEqual(
        (await given.lookup(host, signal())).map(({ address }) => address),
        ["127.0.0.1", "::1"],
      );
    }
    assert.equal(silent.asked.size, 0);
  });
});
