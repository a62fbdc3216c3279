import assert from "node:assert/strict";
import fc from "fast-check";
import { HEAD_BYTES_MAX } from "../../../protocols/checkpoint/head.ts";
import { LOG_SIZE_MAX } from "../../../protocols/checkpoint/log.ts";
import { KEY_BITS, type MapEntry } from "../../../protocols/checkpoint/map.ts";
import {
  type CatalogPage,
  PAGE_CHANGES_MAX,
  PAGE_CURSOR_LENGTH_MAX,
  PAGE_LOG_LEAVES_MAX,
  PAGE_RECORD_BYTES_MAX,
  type PageChange,
  type PageRequest,
} from "../../../protocols/http/catalog-page.ts";
import {
  decodePage,
  decodePageRequest,
  encodePage,
  encodePageRequest,
  PAGE_BYTES_MAX,
  PAGE_REQUEST_BYTES_MAX,
  pageBytesMax,
} from "../../../protocols/http/catalog-documents.ts";
import { verifyCatalogPage } from "../../../protocols/http/verify-page.ts";
import { fromUtf8, hex, utf8 } from "../../../protocols/lib/bytes.ts";
import { encodeCanonical } from "../../../protocols/lib/canonical.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import { commit, publish, refused, refusedAny, unhex, vectors } from "../checkpoint/support.ts";

interface RequestVector {
  readonly name: string;
  readonly text: string;
  readonly error: ProtocolErrorCode | null;
  readonly request: Record<string, unknown>;
}

interface PageVector {
  readonly name: string;
  readonly text: string;
  readonly error: ProtocolErrorCode | null;
  readonly request: unknown;
  readonly did: string;
  readonly epoch?: number;
  readonly after?: string;
  readonly written: boolean;
  readonly proven: boolean;
  readonly changes: readonly { readonly op: string; readonly did: string; readonly value: string | null }[];
}

const { requests } = vectors<{ requests: RequestVector[] }>(
  new URL("../../../protocols/http/vectors/page-request.json", import.meta.url),
);
const { pages } = vectors<{ pages: PageVector[] }>(new URL("../../../protocols/http/vectors/catalog-page.json", import.meta.url));

function check({ text, request, did, epoch, after }: PageVector): {
  readonly asked: PageRequest;
  readonly page: CatalogPage;
  readonly verified: ReturnType<typeof verifyCatalogPage>;
} {
  const asked = decodePageRequest(utf8(JSON.stringify(request)));
  const page = decodePage(utf8(text));
  const expected = {
    request: asked,
    did,
    ...(epoch !== undefined && { epoch }),
    ...(after !== undefined && { after: unhex(after) }),
  };
  return { asked, page, verified: verifyCatalogPage(page, expected) };
}

function named(name: string): PageVector {
  const vector = pages.find((each) => each.name === name);
  assert.ok(vector !== undefined, name);
  return vector;
}

describe("requests for a page", () => {
  for (const { name, text, error, request } of requests) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodePageRequest(utf8(text)));
      const { baseRoot, ...rest } = decodePageRequest(utf8(text));
      const blank = { lastSyncMs: null, cursor: null, logSize: null };
      assert.deepEqual({ ...blank, ...rest, baseRoot: baseRoot === undefined ? null : hex(baseRoot) }, request);
    });
  }

  it("come back as they were written", () => {
    const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
    const fields = fc.record({
      baseRoot: optional(fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((root) => root.some((byte) => byte !== 0))),
      lastSyncMs: optional(fc.integer({ min: 0, max: 253_402_300_799_999 })),
      cursor: optional(fc.stringMatching(/^[A-Za-z0-9._~-]{1,64}$/)),
      limit: fc.integer({ min: 1, max: PAGE_CHANGES_MAX }),
      proofs: fc.constantFrom("change" as const, "multi" as const, "none" as const),
      logSize: optional(fc.integer({ min: 0, max: LOG_SIZE_MAX })),
    });
    fc.assert(
      fc.property(fields, (given) => {
        const request = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
        const decoded = decodePageRequest(encodePageRequest(request));
        const bytes = decoded.baseRoot && { baseRoot: Uint8Array.from(decoded.baseRoot) };
        assert.deepEqual({ ...decoded, ...bytes }, request);
      }),
    );
  });

  it("refuses a time that no document can name, and bytes that are no text", () => {
    for (const lastSyncMs of [-1, 253_402_300_800_000, Number.NaN]) {
      refused("schema", () => encodePageRequest({ lastSyncMs, limit: 1, proofs: "none" }));
    }
    refused("not_utf8", () => decodePageRequest(Uint8Array.of(0x22, 0xff, 0x22)));
    refused("too_large", () => decodePageRequest(new Uint8Array(PAGE_REQUEST_BYTES_MAX + 1)));
  });
});

describe("pages of a catalogue", () => {
  for (const vector of pages) {
    it(vector.name, () => {
      if (vector.error !== null) return refused(vector.error, () => check(vector));
      const { asked, page, verified } = check(vector);
      assert.equal(verified.proven, vector.proven);
      const found = page.changes.map(({ op, did }, index) => {
        const value = verified.claims[index]?.[1];
        return { op, did, value: value === undefined ? null : hex(value) };
      });
      assert.deepEqual(found, vector.changes);
      const last = verified.claims.at(-1)?.[0];
      assert.equal(verified.lastKey && hex(verified.lastKey), last === undefined ? vector.after : hex(last));
      assert.equal(fromUtf8(encodePage(page, asked)) === vector.text, vector.written);
      assert.deepEqual(decodePage(encodePage(page, asked)), page);
    });
  }

  it("T30 whatever character is changed, nothing is taken that the registry did not sign", () => {
    const vector = named("an update, and two deletes: nothing stands there, and another leaf stands there");
    const { claims } = check(named("everything, from the beginning")).verified;
    const signed = new Map(claims.map(([key, value]) => [hex(key), value && hex(value)]));
    for (let i = 0; i < vector.text.length; i++) {
      for (const other of ["0", '"']) {
        if (vector.text[i] === other) continue;
        const text = vector.text.slice(0, i) + other + vector.text.slice(i + 1);
        try {
          for (const [key, value] of check({ ...vector, text }).verified.claims) {
            assert.equal(value && hex(value), signed.get(hex(key)), `position ${i}`);
          }
        } catch (error) {
          assert.ok(error instanceof ProtocolError, `position ${i}: ${String(error)}`);
        }
      }
    }
  });

  it("T51 refuses a page that is cut anywhere, or is no text", () => {
    const { text } = named("a catalogue of one agent: its proof has no sibling");
    for (let length = 0; length < text.length; length++) {
      refusedAny(() => decodePage(utf8(text.slice(0, length))), `cut at ${length}`);
    }
    refused("not_utf8", () => decodePage(Uint8Array.of(0x22, 0xff, 0x22)));
  });

  it("writes nothing else than what was asked for", () => {
    const { asked, page } = check(named("an update, and two deletes: nothing stands there, and another leaf stands there"));
    const bare = encodePage(page, { ...asked, proofs: "none" });
    assert.ok(decodePage(bare).changes.every(({ proof }) => proof === undefined));
    refused("schema", () => encodePage(decodePage(bare), asked));
    refused("schema", () => encodePage(page, { ...asked, proofs: "multi" }));
  });

  it("carries bytes as they are stored, whatever a record holds (T55)", () => {
    const record = encodeCanonical({
      did: "did:web:a.example",
      later: ["\u0001\u2028é", 1e21, -0.5, null],
      ["__proto__"]: { later: 1 },
    } as never);
    const { page } = check(named("a catalogue of one agent: its proof has no sibling"));
    const [only] = decodePage(
      encodePage({ ...page, changes: [{ op: "update", did: "did:web:a.example", record }] }, { limit: 1, proofs: "none" }),
    ).changes;
    assert.ok(only?.op === "update");
    assert.equal(hex(only.record), hex(record));
    assert.ok(fromUtf8(only.record).includes(`"__proto__":`));
  });

  it("T30 refuses a record under another agent's name", () => {
    const vector = named("a catalogue of one agent: its proof has no sibling");
    const { asked, page } = check(vector);
    const changes = page.changes.map((change) => ({ ...change, did: "did:web:other.example" }));
    refused("wrong_key", () => verifyCatalogPage({ ...page, changes }, { request: asked, did: vector.did }));
  });
});

describe("the largest pages", () => {
  const did = `did:web:${"d".repeat(504)}`;
  const record = encodeCanonical({ did, text: "x".repeat(RECORD_BYTES_MAX - 600) });
  const leaf: MapEntry = [new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(0xff)];
  const siblings = Array.from({ length: KEY_BITS }, () => new Uint8Array(32).fill(0xff));
  const puts = Math.ceil(PAGE_RECORD_BYTES_MAX / record.length);
  const changes = Array.from({ length: PAGE_CHANGES_MAX }, (_, index): PageChange =>
    index < puts ? { op: "create", did, record, proof: { siblings } } : { op: "delete", did, proof: { siblings, leaf } },
  );
  const page: CatalogPage = {
    changes,
    head: publish([commit()]).head,
    syncedRoot: new Uint8Array(32),
    syncedAtMs: 253_402_300_799_999,
    nextCursor: "x".repeat(PAGE_CURSOR_LENGTH_MAX),
    logLeaves: new Uint8Array(PAGE_LOG_LEAVES_MAX * 32),
  };

  it("T51 fits in its bound, with a head and proofs as long as there can be, and not by far", () => {
    const bytes = encodePage(page, { limit: PAGE_CHANGES_MAX, proofs: "change" });
    assert.ok(bytes.length + HEAD_BYTES_MAX <= PAGE_BYTES_MAX, `${bytes.length} bytes`);
    assert.ok(bytes.length > PAGE_BYTES_MAX * 0.9, `${bytes.length} of ${PAGE_BYTES_MAX} bytes`);
    assert.equal(decodePage(bytes).changes.length, PAGE_CHANGES_MAX);
    const bare = encodePage(page, { limit: PAGE_CHANGES_MAX, proofs: "none" });
    assert.ok(bare.length + HEAD_BYTES_MAX <= pageBytesMax("none"), `${bare.length} bytes`);
  });

  it("T51 refuses more: changes, bytes of records, leaves", () => {
    const request: PageRequest = { limit: PAGE_CHANGES_MAX, proofs: "none" };
    refused("schema", () => decodePage(encodePage({ ...page, changes: [...changes, ...changes.slice(-1)] }, request)));
    const heavy = Array.from({ length: puts + 2 }, () => changes[0] as PageChange);
    refused("too_large", () => decodePage(encodePage({ ...page, changes: heavy }, request)));
    refused("schema", () =>
      decodePage(encodePage({ ...page, logLeaves: new Uint8Array((PAGE_LOG_LEAVES_MAX + 1) * 32) }, request)),
    );
    refused("too_large", () => decodePage(new Uint8Array(PAGE_BYTES_MAX + 1)));
  });
});
