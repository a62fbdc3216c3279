import assert from "node:assert/strict";
import { Foreign } from "./foreign.ts";
import { RegistryProcess } from "./process.ts";

const SYBILS = 60;
/** Each stays below what one registry may ask for at once (its burst), and the process below what one machine can answer. */
const REQUESTS_OF_SYBIL = 12;
const REQUESTS_OF_HONEST = 200;
const SERVED_SHARE_MIN = 0.99;

describe("threats over HTTP: sybils", () => {
  let target: RegistryProcess;

  before(async () => {
    target = await RegistryProcess.start({ more: ["--requests-per-peer-per-minute-max", "100"] });
  });

  after(() => target.stop());

  it("T25 of 60 sybils each stays within its limit: at least 99 % of honest requests are served", async () => {
    const honest = await Promise.all(Array.from({ length: 10 }, (_, i) => Foreign.create(`honest-${i}`)));
    for (const one of honest) await one.announce(target);
    const sybils: Foreign[] = [];
    for (let i = 0; i < SYBILS; i++) sybils.push(await Foreign.create(`sybil-${i}`));
    let isOver = false;
    const served = { honest: 0, sybils: 0 };
    const attack = Promise.all(
      sybils.map(async (sybil) => {
        await sybil.announce(target);
        for (let i = 0; i < REQUESTS_OF_SYBIL; i++) {
          const { status } = await sybil.ask(target, sybil.signedRead(target));
          served.sybils += Number(status === 200);
        }
      }),
    ).finally(() => (isOver = true));
    const codes: string[] = [];
    let asked = 0;
    while (asked < REQUESTS_OF_HONEST || !isOver) {
      const one = honest[asked % honest.length] as Foreign;
      const { status, problem } = await one.ask(
        target,
        asked % 2 === 0 && asked < 100 ? one.signedRead(target) : { path: "/agents" },
      );
      if (status === 200) served.honest += 1;
      else codes.push(`${status} ${problem?.code}`);
      asked += 1;
    }
    await attack;
    assert.ok(served.honest / asked >= SERVED_SHARE_MIN, `${served.honest} of ${asked} served: ${codes.join(", ")}`);
    assert.ok(served.sybils > 0, "sybils within their limits are served, too");
    for (const one of [...honest, ...sybils]) one.close();
  });
});
