import { readDescriptor, signDescriptor } from "../../protocols/descriptor/codec.ts";
import { DESCRIPTOR_LIFETIME_MS_MAX, type DescriptorFields } from "../../protocols/descriptor/descriptor.ts";

/** Our descriptor is signed anew when half of its life is over, or when something in it changes. */
export const DESCRIPTOR_LIFETIME_MS: number = DESCRIPTOR_LIFETIME_MS_MAX;

export type DescriptorFacts = Omit<DescriptorFields, "sequence" | "issuedAt" | "expiresAt">;

/**
 * The descriptor that says `facts` at `nowMs`: the stored one while it says the same and is not half over, else a new one of
 * the next sequence. Persist it before it is published (rule 7 of the architecture).
 */
export function currentDescriptor(
  stored: Uint8Array | undefined,
  facts: DescriptorFacts,
  nowMs: number,
  sign: (bytes: Uint8Array) => Uint8Array,
): { readonly bytes: Uint8Array; readonly isNew: boolean } {
  const before = stored && readDescriptor(stored);
  if (before !== undefined && stored !== undefined) {
    const { sequence: _s, issuedAt, expiresAt, signature: _g, ...said } = before;
    const fresh = issuedAt <= nowMs && nowMs < (issuedAt + expiresAt) / 2;
    if (fresh && JSON.stringify(sorted(said)) === JSON.stringify(sorted(facts))) return { bytes: stored, isNew: false };
  }
  // The time, so that a registry whose store was lost or restored does not sign an old sequence again with other content; and
  // never below what is stored, for a clock that went back.
  const sequence = Math.max((before?.sequence ?? 0) + 1, Math.max(0, nowMs));
  const fields = { ...facts, sequence, issuedAt: nowMs, expiresAt: nowMs + DESCRIPTOR_LIFETIME_MS };
  return { bytes: signDescriptor(fields, sign), isNew: true };
}

function sorted(value: object): [string, unknown][] {
  return Object.entries(value)
    .filter(([, v]) => v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
