import { hex } from "../../../protocols/lib/bytes.ts";
import { valueOf } from "../../../protocols/lib/hash.ts";
import { decodeRecord, encodeRecord } from "../../../protocols/record/codec.ts";
import type { AgentRecord } from "../../../protocols/record/record.ts";
import type { RunningNode } from "../../federation-api.ts";
import type { Current } from "./conditions.ts";

/** The record of an agent in our own catalogue, whoever's claim to it is shown. */
export interface OwnRecord extends Current {
  readonly record: AgentRecord;
  readonly bytes: Uint8Array;
}

export interface Lookup {
  readonly own: OwnRecord | undefined;
  /** DID of another home whose record is shown, where there is one. */
  readonly elsewhere: string | undefined;
}

/** @throws NodeError */
export async function lookUp(node: RunningNode, did: string): Promise<Lookup> {
  const document = await node.readAgent(did);
  if (document === undefined) return { own: undefined, elsewhere: undefined };
  const { own, bytes, hash, revision, home } = document;
  if (own) return { own: { record: decodeRecord(bytes), bytes, hash, revision }, elsewhere: undefined };
  const { did: us } = node.identity();
  const record = (await node.getAgent(did))?.claims.find((claim) => claim.home === us)?.agent;
  return { own: record && ownRecord(record), elsewhere: home };
}

function ownRecord(record: AgentRecord): OwnRecord {
  const bytes = encodeRecord(record);
  return { record, bytes, hash: hex(valueOf(bytes)), revision: record.revision };
}
