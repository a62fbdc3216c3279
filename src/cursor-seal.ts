import { createHmac, timingSafeEqual } from "node:crypto";
import type { CatalogPage, PageRequest } from "../protocols/http/catalog-page.ts";
import { utf8 } from "../protocols/lib/bytes.ts";

const TAG_BYTES = 16;
/** Stands in no base64url. */
const SEPARATOR = ".";
/** A domain prefix with nothing behind it: nobody else has a use for this signature. */
const CURSOR_KEY_DOMAIN = utf8("theprotocol/cursor-key/v1\0");

/**
 * Marks the cursors that leave this registry as its own, so that nothing but the rest of a walk that was begun here passes for one
 * (T25). What follows the cursor is HMAC-SHA-256, cut to 16 bytes, over asker, base of the request, and cursor, by which the walk's
 * version and the key that it continues at. The key is a signature that is shown to nobody (Ed25519 makes the same one each time),
 * so that a walk goes on after a restart.
 *
 * How often one cursor is used is not bounded: that would take memory for every walk, while each use costs its asker as much of the
 * budgets of continuations and of pages as another page of a large catalogue, which one request may ask for as well.
 */
export class CursorSeal {
  readonly #sign: (bytes: Uint8Array) => Uint8Array;
  #key: Uint8Array | undefined;

  /** @param sign by the registry's key */
  constructor(sign: (bytes: Uint8Array) => Uint8Array) {
    this.#sign = sign;
  }

  /**
   * The request as the catalogue knows it. `undefined` when its cursor is none that was given to this asker for this base.
   * @param asker DID
   */
  open(request: PageRequest, asker: string): PageRequest | undefined {
    const { cursor: sealed, ...base } = request;
    if (sealed === undefined) return request;
    const cursor = sealed.slice(0, Math.max(0, sealed.lastIndexOf(SEPARATOR)));
    const [expected, given] = [Buffer.from(this.#sealed(cursor, base, asker)), Buffer.from(sealed)];
    const isOurs = expected.length === given.length && timingSafeEqual(expected, given);
    return isOurs ? { ...base, cursor } : undefined;
  }

  /** The page as its asker gets it. */
  seal(page: CatalogPage, request: PageRequest, asker: string): CatalogPage {
    const { nextCursor } = page;
    return nextCursor === undefined ? page : { ...page, nextCursor: this.#sealed(nextCursor, request, asker) };
  }

  #sealed(cursor: string, { baseRoot, lastSyncMs }: PageRequest, asker: string): string {
    this.#key ??= this.#sign(CURSOR_KEY_DOMAIN);
    const base = baseRoot === undefined ? null : Buffer.from(baseRoot).toString("hex");
    const tag = createHmac("sha256", this.#key).update(JSON.stringify([asker, base, lastSyncMs ?? null, cursor]));
    return `${cursor}${SEPARATOR}${tag.digest().subarray(0, TAG_BYTES).toString("base64url")}`;
  }
}
