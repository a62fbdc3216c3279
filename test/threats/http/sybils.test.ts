import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { send } from "../../facade/client.ts";
import { Foreign } from "./foreign.ts";
import { RegistryProcess } from "./process.ts";

const SYBILS = 60;
/** Each stays below what one registry may ask for at once (its burst), and the process below what one machine can answer. */
const REQUESTS_OF_SYBIL = 18;
/** Registries that the operator named, and readers whom nobody knows. */
const NAMED = 5;
const READERS = 10;
/** What each of them asks for, one after the other, at least; and on until the sybils have got what they want. */
const REQUESTS_OF_HONEST = 15;
const SERVED_SHARE_MIN = 0.99;

interface Count {
  asked: number;
  readonly refused: string[];
}

describe("threats over HTTP: sybils", () => {
  let target: RegistryProcess;
  let named: Foreign[];
  let readers: ClientHttp2Session[];
  let sybils: Foreign[];

  before(async () => {
    const many = (count: number, name: string): Promise<Foreign[]> =>
      Promise.all(Array.from({ length: count }, (_, i) => Foreign.create(`${name}-${i}`)));
    [named, sybils] = await Promise.all([many(NAMED, "named"), many(SYBILS, "sybil")]);
    const follow = named.map(({ did }) => did);
    target = await RegistryProcess.start({ follow, more: ["--requests-per-peer-per-minute-max", "100"] });
    for (const one of named) await one.announce(target);
    readers = (await many(READERS, "reader")).map((one) => one.connect(target, { present: null }));
  });

  after(async () => {
    for (const one of [...named, ...sybils]) one.close();
    for (const session of readers) session.destroy();
    await target.stop();
  });

  it("T25 of 60 sybils each stays within its limit: at least 99 % of honest requests are served at the first try", async function () {
    // On a machine that does much else.
    this.timeout(90_000);
    let isOver = false;
    let servedSybils = 0;
    const attack = Promise.all(
      sybils.map(async (sybil) => {
        await sybil.announce(target);
        for (let i = 0; i < REQUESTS_OF_SYBIL; i++) {
          const { status } = await sybil.ask(target, sybil.signedRead(target));
          servedSybils += Number(status === 200);
        }
      }),
    ).finally(() => (isOver = true));
    const counts = { signed: newCount(), read: newCount() };
    const keepAsking = async (ask: (i: number) => Promise<unknown>): Promise<void> => {
      for (let i = 0; i < REQUESTS_OF_HONEST || !isOver; i++) await ask(i);
    };
    const read = (session: ClientHttp2Session): Promise<void> => count(counts.read, send(session, { path: "/agents" }));
    await Promise.all([
      ...readers.map((session) => keepAsking(() => read(session))),
      // Beyond its burst a registry would be told to wait.
      ...named.map((one) =>
        keepAsking((i) =>
          i < REQUESTS_OF_HONEST
            ? count(counts.signed, one.askOnce(target, one.signedRead(target)))
            : count(counts.read, one.askOnce(target, { path: "/agents" })),
        ),
      ),
    ]);
    await attack;
    for (const [who, { asked, refused }] of Object.entries(counts)) {
      const served = asked - refused.length;
      assert.ok(served / asked >= SERVED_SHARE_MIN, `${who}: ${served} of ${asked} served: ${refused.join(", ")}`);
    }
    assert.ok(servedSybils > 0, "sybils within their limits are served, too");
  });
});

function newCount(): Count {
  return { asked: 0, refused: [] };
}

async function count(into: Count, answer: ReturnType<typeof send>): Promise<void> {
  into.asked += 1;
  const { status, problem } = await answer;
  if (status !== 200) into.refused.push(`${status} ${problem?.detail}`);
}
