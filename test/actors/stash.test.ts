import assert from "node:assert/strict";
import { AskError } from "../../src/actors/actor.ts";
import { Stash } from "../../src/actors/stash.ts";

interface Message {
  readonly name: string;
  readonly reply?: { resolve(): void; reject(error: Error): void };
}

describe("actors: stash", () => {
  it("hands over what waits in order, once", () => {
    const stash = new Stash<Message>("a", 10);
    for (const name of ["1", "2", "3"]) stash.put({ name });
    const seen: string[] = [];
    stash.release(({ name }) => seen.push(name));
    stash.release(({ name }) => seen.push(name));
    assert.deepEqual(seen, ["1", "2", "3"]);
  });

  it("keeps what is put off again for the next release", () => {
    const stash = new Stash<Message>("a", 10);
    for (const name of ["1", "2"]) stash.put({ name });
    stash.release((message) => stash.put(message));
    const seen: string[] = [];
    stash.release(({ name }) => seen.push(name));
    assert.deepEqual(seen, ["1", "2"]);
  });

  it("T51 holds no more than its bound and tells whoever asked", () => {
    const stash = new Stash<Message>("a", 2);
    const refused: Error[] = [];
    const reply = { resolve: () => undefined, reject: (error: Error) => void refused.push(error) };
    for (let i = 0; i < 4; i++) stash.put({ name: String(i), reply });
    let released = 0;
    stash.release(() => (released += 1));
    assert.equal(released, 2);
    assert.equal(refused.length, 2);
    assert.ok(refused.every((error) => error instanceof AskError && error.code === "mailbox_full"));
  });
});
