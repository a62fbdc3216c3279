import { hex, utf8 } from "../../protocols/lib/bytes.ts";
import { sha256 } from "../../protocols/lib/hash.ts";
import type { StoreOperation } from "../ports/store.ts";
import { memberKey } from "./rows.ts";

/** Pieces of evidence kept in all. */
export const EVIDENCE_MAX = 1_000;
/** Pieces kept against one registry: one convicts it, and it must not fill the space for others with its own. */
export const EVIDENCE_PER_REGISTRY_MAX = 8;

/** Which evidence is held, bounded: what comes first stays, since one piece says as much as a thousand. */
export class EvidenceIndex {
  /** Row suffixes (hex): hash of the DID, then of the evidence. */
  readonly #held = new Set<string>();
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#held.size;
  }

  /** Whether anything is held against this registry. */
  has(did: string): boolean {
    return (this.#counts.get(hex(sha256(utf8(did)))) ?? 0) > 0;
  }

  /** @param suffix of a stored row */
  load(suffix: Uint8Array): void {
    this.#add(hex(suffix));
  }

  /** The row to write, or `undefined` when this is held already or there is no room for it. */
  take(did: string, evidence: Uint8Array): Extract<StoreOperation, { type: "put" }> | undefined {
    const suffix = Buffer.concat([sha256(utf8(did)), sha256(evidence)]);
    const name = hex(suffix);
    const against = this.#counts.get(registryOf(name)) ?? 0;
    if (this.#held.has(name) || this.#held.size >= EVIDENCE_MAX || against >= EVIDENCE_PER_REGISTRY_MAX) return undefined;
    this.#add(name);
    return { type: "put", key: memberKey("evidence", suffix), value: evidence };
  }

  /** Takes back a `take` whose row could not be written. */
  drop(row: Extract<StoreOperation, { type: "put" }>): void {
    const name = hex(row.key.subarray(memberKey("evidence").length));
    if (!this.#held.delete(name)) return;
    const registry = registryOf(name);
    this.#counts.set(registry, (this.#counts.get(registry) ?? 1) - 1);
  }

  #add(name: string): void {
    this.#held.add(name);
    const registry = registryOf(name);
    this.#counts.set(registry, (this.#counts.get(registry) ?? 0) + 1);
  }
}

const HASH_HEX_DIGITS = 64;

function registryOf(name: string): string {
  return name.slice(0, HASH_HEX_DIGITS);
}
