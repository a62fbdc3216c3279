import assert from "node:assert/strict";
import fc from "fast-check";
import { PAGE_CURSOR_LENGTH_MAX, type CatalogPage, type PageRequest } from "../protocols/http/catalog-page.ts";
import { cursorText } from "../protocols/http/page-request.ts";
import { encodePageCursor } from "../src/catalog/page-cursor.ts";
import { CursorSeal } from "../src/cursor-seal.ts";
import { ACME, OTHER } from "./protocols/checkpoint/support.ts";

const ASKER = "did:key:zAsker";
const CURSOR: string = encodePageCursor({ epoch: 3, firstSize: 9, base: 4, after: Buffer.alloc(32, 7) });
const REQUEST: PageRequest = { limit: 10, proofs: "multi", baseRoot: Buffer.alloc(32, 1), lastSyncMs: 5, logSize: 6 };

const seal = ({ sign } = ACME): CursorSeal => new CursorSeal(sign);

function given(by: CursorSeal, request = REQUEST, asker = ASKER): string {
  const page = { changes: [], nextCursor: CURSOR } as unknown as CatalogPage;
  return by.seal(page, request, asker).nextCursor ?? assert.fail("no cursor");
}

describe("cursor seal", () => {
  it("gives back the catalogue's cursor to who got it, whatever else the request asks for", () => {
    const ours = seal();
    const request: PageRequest = { ...REQUEST, cursor: given(ours), limit: 3, proofs: "none", logSize: 60 };
    assert.deepEqual(ours.open(request, ASKER), { ...request, cursor: CURSOR });
    assert.deepEqual(ours.open(REQUEST, ASKER), REQUEST, "without a cursor");
    const last = { changes: [] } as unknown as CatalogPage;
    assert.equal(ours.seal(last, REQUEST, ASKER), last);
    assert.ok(given(ours).length <= PAGE_CURSOR_LENGTH_MAX);
    cursorText.parse(given(ours));
  });

  it("T25 takes no cursor of another asker, base or registry, and its own also after a restart", () => {
    const ours = seal();
    const cursor = given(ours);
    const { baseRoot: _, ...onlyTime } = REQUEST;
    const { lastSyncMs: __, ...onlyRoot } = REQUEST;
    for (const request of [onlyTime, onlyRoot, { ...REQUEST, baseRoot: Buffer.alloc(32, 2) }, { ...REQUEST, lastSyncMs: 6 }])
      assert.equal(ours.open({ ...request, cursor }, ASKER), undefined);
    assert.equal(ours.open({ ...REQUEST, cursor }, `${ASKER}2`), undefined);
    assert.equal(seal(OTHER).open({ ...REQUEST, cursor }, ASKER), undefined);
    assert.notEqual(seal().open({ ...REQUEST, cursor }, ASKER), undefined);
  });

  it("T25 takes no cursor that differs in any character, or is anything else", () => {
    const ours = seal();
    const cursor = given(ours);
    for (let i = 0; i < cursor.length; i++)
      for (const other of ["", "A", "B", ".", "é"]) {
        const forged = cursor.slice(0, i) + other + cursor.slice(i + 1);
        if (forged !== cursor) assert.equal(ours.open({ ...REQUEST, cursor: forged }, ASKER), undefined, forged);
      }
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const forged of [text, `${text}${cursor}`, `${cursor}${text}`])
          if (forged !== cursor) assert.equal(ours.open({ ...REQUEST, cursor: forged }, ASKER), undefined);
      }),
    );
  });
});
