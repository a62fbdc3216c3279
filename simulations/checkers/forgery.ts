import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import { catalogueOf } from "./checker.ts";

/** What `reader` shows as an agent of some home although that home's owner never wrote it, a line each. */
export async function forgedAt(federation: Federation, reader: Machine): Promise<string[]> {
  const complaints: string[] = [];
  for (const home of federation.machines) {
    const shown = await reader.ask((node) => catalogueOf(node, home.did));
    complaints.push(...(shown ?? []).flatMap((record) => forgery(reader, home, record)));
  }
  return complaints;
}

/** What is wrong with one record that `reader` shows. */
export function forgery(reader: Machine, home: Machine, record: AgentRecord): string[] {
  const where = `${reader.name} shows ${record.humanReadableId} r${record.revision} of ${home.name}`;
  if (record.registry !== home.did) return [`${where}: the record names ${record.registry} as its home`];
  return home.ledger.wrote(record) ? [] : [`${where}: its owner never wrote that`];
}
