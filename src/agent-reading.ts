import { fromHex, fromUtf8, hex, utf8 } from "../protocols/lib/bytes.ts";
import { isDid, isSelfCertified, mintDid, ownerOfMinted, publicKeyOfDid } from "../protocols/lib/did.ts";
import { ProtocolError } from "../protocols/lib/errors.ts";
import { HASH_BYTES, keyOf, valueOf } from "../protocols/lib/hash.ts";
import { CAPABILITY_LENGTH_MAX } from "../protocols/record/record.ts";
import { isCapability } from "../protocols/record/text.ts";
import type { Reply } from "./actors/actor.ts";
import type { Found } from "./agent-cache.ts";
import {
  LIST_LIMIT_MAX,
  LIST_TEXT_LENGTH_MAX,
  LIST_UNAVAILABLE_MAX,
  NodeError,
  type AgentDocument,
  type AgentPage,
  type ListQuery,
  type UnavailableAgent,
} from "./api.ts";
import { resolveClaims, type Claim } from "./catalog/conflict.ts";
import { wordsOf, type AgentFilter } from "./catalog/filter.ts";
import type { CatalogueQuery, ListedRecords, StoredRecord } from "./catalog/messages.ts";
import { nameKey } from "./catalog/mutations.ts";
import { OWN_CATALOGUE, rowKey } from "./catalog/rows.ts";
import type { RegistryIdentity } from "./identity/registry-identity.ts";
import type { Store } from "./ports/store.ts";

/** Records that one listing looks at, whatever its conditions: then its page ends, with a cursor to go on. */
export const LIST_ROWS_MAX = 4_096;
/** Record bytes of one page; the record that exceeds it is its last. */
export const LIST_BYTES_MAX = 8_388_608;
/** DIDs that the refusal of a name of several agents lists; of the others it gives the number. */
export const NAMESAKES_LISTED_MAX = 16;

export interface AgentReadingParts {
  readonly identity: RegistryIdentity;
  readonly store: Store;
  /** DIDs of the registries whose catalogues we hold besides our own, ascending. */
  readonly followed: () => readonly string[];
  /** Asks the catalogue of a home. @throws NodeError `not_found` when we hold none */
  readonly ask: <R>(home: string, make: (reply: Reply<R>) => CatalogueQuery) => Promise<R>;
}

/** A claim with the bytes of its record. */
export type HeldClaim = Claim & { readonly bytes: Uint8Array };

export interface Resolved {
  readonly winner: HeldClaim;
  readonly others: readonly HeldClaim[];
}

interface Claims {
  readonly held: readonly HeldClaim[];
  /** Whether no catalogue holds a record back that may be shown later. */
  readonly lasting: boolean;
}

/** Finds agents in all catalogues that we hold, our own and the replicas. A name of our own catalogue is ours, whoever else has it. */
export class AgentReading {
  readonly #parts: AgentReadingParts;

  constructor(parts: AgentReadingParts) {
    this.#parts = parts;
  }

  /** Every home's claim to the agent; the winner is shown. @throws NodeError `invalid` for a name that several others have */
  async resolve(didOrName: string): Promise<Resolved | undefined> {
    return pick(await this.#search(didOrName));
  }

  /** The record that is shown, as `AgentCache` keeps it. @throws NodeError `invalid` for a name that several others have */
  async find(didOrName: string): Promise<Found> {
    const claims = await this.#search(didOrName);
    const { lasting } = claims;
    const resolved = pick(claims);
    return { document: resolved && this.#document(resolved.winner.home, resolved.winner), lasting };
  }

  /** The record of the agent in our own catalogue. @throws NodeError `damaged` */
  async own(did: string): Promise<AgentDocument | undefined> {
    const home = this.#parts.identity.did;
    const stored = await this.#get(home, keyOf(did));
    return stored === undefined || stored === "withheld" ? undefined : this.#document(home, stored);
  }

  /** Whether our own catalogue has the agent, readable or not. */
  async publishes(did: string): Promise<boolean> {
    try {
      return (await this.#get(this.#parts.identity.did, keyOf(did))) !== undefined;
    } catch (error) {
      if (error instanceof NodeError && error.code === "damaged") return true;
      throw error;
    }
  }

  #document(home: string, { record, bytes }: Pick<StoredRecord, "record" | "bytes">): AgentDocument {
    const { did, revision, hlc } = record;
    const own = home === this.#parts.identity.did;
    return { did, home, own, revision, hlc, bytes, hash: hex(valueOf(bytes)) };
  }

  #get(home: string, key: Uint8Array): Promise<StoredRecord | "withheld" | undefined> {
    return this.#parts.ask(home, (reply) => ({ type: "get", key, reply }));
  }

  /** @throws NodeError `invalid`, `not_found` for a registry whose catalogue we do not hold */
  async list(query: ListQuery): Promise<AgentPage> {
    const { limit, cursor, registry } = query;
    if (!Number.isInteger(limit) || limit < 1 || limit > LIST_LIMIT_MAX) {
      throw new NodeError("invalid", `limit must be a whole number from 1 to ${LIST_LIMIT_MAX}, got ${limit}`);
    }
    const filter = filterOf(query);
    const own = this.#parts.identity.did;
    const homes = this.#homes().filter((home) => registry === undefined || home === registry);
    if (registry !== undefined && homes.length === 0) throw new NodeError("not_found", `we hold no catalogue of ${registry}`);
    const at = cursor === undefined ? undefined : readCursor(cursor);
    // A home that is no longer held: go on with the next one, so that a long listing ends whatever happens meanwhile.
    const first = at === undefined ? 0 : homes.findIndex((home) => home === at.home || (home !== own && home > at.home));
    const agents: AgentPage["agents"][number][] = [];
    const unavailable: UnavailableAgent[] = [];
    const left = { rows: LIST_ROWS_MAX, bytes: LIST_BYTES_MAX, unavailable: LIST_UNAVAILABLE_MAX };
    for (let index = first; index >= 0 && index < homes.length; index++) {
      const home = homes[index] as string;
      const isFull = agents.length === limit || Object.values(left).some((rest) => rest <= 0);
      if (isFull) return { agents, unavailable, cursor: writeCursor(home, FIRST_KEY) };
      const after = home === at?.home ? at.key : FIRST_KEY;
      const { rows: rowsMax, bytes: bytesMax, unavailable: unavailableMax } = left;
      const page = await this.#parts.ask<ListedRecords>(home, (reply) => ({
        ...{ type: "list", after, limit: limit - agents.length, rowsMax, bytesMax, unavailableMax, reply },
        ...(filter !== undefined && { filter }),
      }));
      agents.push(...page.records);
      for (const key of page.unavailable) unavailable.push({ registry: home, key: hex(key), reason: "damaged" });
      if (page.next !== undefined) return { agents, unavailable, cursor: writeCursor(home, page.next) };
      left.rows -= page.rows;
      left.bytes -= page.bytes;
      left.unavailable -= page.unavailable.length;
    }
    return { agents, unavailable, cursor: null };
  }

  #homes(): string[] {
    return [this.#parts.identity.did, ...this.#parts.followed()];
  }

  #search(didOrName: string): Promise<Claims> {
    return isDid(didOrName) ? this.#claims(this.#homes(), () => keyOf(didOrName)) : this.#byName(didOrName);
  }

  async #byName(name: string): Promise<Claims> {
    const { identity, store } = this.#parts;
    const row = await store.get(rowKey(OWN_CATALOGUE, "name", nameKey(name)));
    const own = await this.#claims([identity.did], (home) => row ?? mintedKey(home, name));
    // Others are not even asked: whoever uses a name of ours would make our agent unreachable by it.
    if (own.held.length > 0) return own;
    const found = await this.#claims(this.#parts.followed(), (home) => mintedKey(home, name));
    const dids = [...new Set(found.held.map(({ record }) => record.did))];
    if (dids.length > 1) throw ambiguousName(name, dids);
    return { held: found.held, lasting: own.lasting && found.lasting };
  }

  async #claims(homes: readonly string[], keyAt: (home: string) => Uint8Array | undefined): Promise<Claims> {
    let lasting = true;
    const held = await Promise.all(
      homes.map(async (home): Promise<HeldClaim[]> => {
        const key = keyAt(home);
        if (key === undefined) return [];
        const stored = await this.#get(home, key);
        if (stored === "withheld") lasting = false;
        if (stored === undefined || stored === "withheld") return [];
        const { record, bytes } = stored;
        const verified = isSelfCertified(record.did) || ownerOfMinted(record.did) !== undefined;
        // Our own word weighs as much as that of any registry in good standing: every reader sees the same winner (T33).
        return [{ home, record, bytes, verified, standing: "active" }];
      }),
    );
    return { held: held.flat(), lasting };
  }
}

function pick({ held }: Claims): Resolved | undefined {
  const { winner, claims } = resolveClaims(held);
  if (winner === undefined) return undefined;
  const withBytes = claims as readonly HeldClaim[];
  return { winner: winner as HeldClaim, others: withBytes.filter((claim) => claim !== winner) };
}

function ambiguousName(name: string, dids: readonly string[]): NodeError {
  const more = dids.length - NAMESAKES_LISTED_MAX;
  const list = dids.slice(0, NAMESAKES_LISTED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
  const help = `name one by its DID: ${list}`;
  return new NodeError("invalid", `several other registries, and not this one, have an agent called "${name}"; ${help}`);
}

/** Where a home holds the agent whose DID spells this name; `undefined` when no DID can. */
function mintedKey(home: string, name: string): Uint8Array | undefined {
  try {
    return keyOf(mintDid(publicKeyOfDid(home), name));
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** @throws NodeError `invalid` */
function filterOf({ capability, text, minReputation }: ListQuery): AgentFilter | undefined {
  if (capability !== undefined && (capability.length > CAPABILITY_LENGTH_MAX || !isCapability(capability))) {
    const expected = `a lower-case path of at most ${CAPABILITY_LENGTH_MAX} characters, such as translation/en-fr`;
    throw new NodeError("invalid", `capability must be ${expected}; got "${capability.slice(0, CAPABILITY_LENGTH_MAX)}"`);
  }
  if (text !== undefined && text.length > LIST_TEXT_LENGTH_MAX) {
    throw new NodeError("invalid", `text has ${text.length} characters, at most ${LIST_TEXT_LENGTH_MAX} are taken`);
  }
  if (minReputation !== undefined && !(minReputation >= 0 && minReputation <= 1)) {
    throw new NodeError("invalid", `minReputation must be from 0 to 1, got ${minReputation}`);
  }
  const words = text === undefined ? [] : wordsOf(text);
  if (capability === undefined && words.length === 0 && minReputation === undefined) return undefined;
  return { words, ...(capability !== undefined && { capability }), ...(minReputation !== undefined && { minReputation }) };
}

/** Before all others: no hash of a DID is zero. */
const FIRST_KEY: Uint8Array = new Uint8Array(HASH_BYTES);

function writeCursor(home: string, key: Uint8Array): string {
  return Buffer.from(utf8(`${hex(key)} ${home}`)).toString("base64url");
}

function readCursor(cursor: string): { home: string; key: Uint8Array } {
  try {
    const [key, home] = fromUtf8(Buffer.from(cursor, "base64url")).split(" ");
    if (key === undefined || home === undefined || !isDid(home)) throw new Error("not of our making");
    return { home, key: fromHex(key, HASH_BYTES) };
  } catch (error) {
    throw new NodeError("invalid", "the cursor is not one that this registry gave: begin again without one", { cause: error });
  }
}
