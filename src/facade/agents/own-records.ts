import { decodeRecord } from "../../../protocols/record/codec.ts";
import type { AgentRecord } from "../../../protocols/record/record.ts";
import { NodeError } from "../../api.ts";
import type { RunningNode } from "../../federation-api.ts";
import type { Current } from "./conditions.ts";

/** The record of an agent in our own catalogue, whoever's claim to it is shown. */
export interface OwnRecord extends Current {
  readonly record: AgentRecord;
  readonly bytes: Uint8Array;
}

export interface Lookup {
  readonly own: OwnRecord | undefined;
  /** There is a record here, whose stored bytes are damaged: it can be written anew, but nothing be said of it. */
  readonly damaged?: NodeError;
  /** DID of another home whose record is shown, where there is one. */
  readonly elsewhere: string | undefined;
}

/** @throws NodeError */
export async function lookUp(node: RunningNode, did: string): Promise<Lookup> {
  try {
    const document = await node.readOwnAgent(did);
    if (document === undefined) return { own: undefined, elsewhere: await homeOf(node, did) };
    const { bytes, hash, revision } = document;
    return { own: { record: decodeRecord(bytes), bytes, hash, revision }, elsewhere: undefined };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { own: undefined, damaged: error, elsewhere: undefined };
  }
}

async function homeOf(node: RunningNode, did: string): Promise<string | undefined> {
  try {
    return (await node.readAgent(did))?.home;
  } catch (error) {
    // Only a hint hangs on it.
    if (isDamage(error)) return undefined;
    throw error;
  }
}

function isDamage(error: unknown): error is NodeError {
  return error instanceof NodeError && error.code === "damaged";
}
