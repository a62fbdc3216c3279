import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import { catalogueOf, isDamage } from "./checker.ts";

/** What `reader` shows as an agent of some home although that home's owner never wrote it, a line each. */
export async function forgedAt(federation: Federation, reader: Machine): Promise<string[]> {
  const complaints: string[] = [];
  for (const home of federation.machines) {
    const shown = await shownBy(reader, home.did, federation.faults.rot.everyMs > 0);
    complaints.push(...(shown ?? []).flatMap((record) => forgery(reader, home, record)));
  }
  return complaints;
}

/** Under bit rot a listing may be refused until it is repaired: it must not show what rotted. */
async function shownBy(reader: Machine, did: string, mayRot: boolean): Promise<AgentRecord[] | undefined> {
  try {
    return await reader.ask((node) => catalogueOf(node, did));
  } catch (error) {
    if (mayRot && isDamage(error)) return undefined;
    throw error;
  }
}

/** What is wrong with one record that `reader` shows. */
export function forgery(reader: Machine, home: Machine, record: AgentRecord): string[] {
  const where = `${reader.name} shows ${record.humanReadableId} r${record.revision} of ${home.name}`;
  if (record.registry !== home.did) return [`${where}: the record names ${record.registry} as its home`];
  return home.ledger.wrote(record) ? [] : [`${where}: its owner never wrote that`];
}
