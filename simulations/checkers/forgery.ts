import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import { catalogueOf } from "./checker.ts";

/** What `reader` shows as an agent of some home although that home's owner never wrote it, a line each. */
export async function forgedAt(federation: Federation, reader: Machine): Promise<string[]> {
  const complaints: string[] = [];
  for (const home of federation.machines) {
    const shown = await reader.ask((node) => catalogueOf(node, home.did));
    for (const record of shown ?? []) {
      const complaint = forgery(home, record.registry, home.ledger.wrote(record));
      if (complaint !== undefined) {
        complaints.push(`${reader.name} shows ${record.humanReadableId} r${record.revision} of ${home.name}: ${complaint}`);
      }
    }
  }
  return complaints;
}

function forgery(home: Machine, registry: string, wasWritten: boolean): string | undefined {
  if (registry !== home.did) return `the record names ${registry} as its home`;
  return wasWritten ? undefined : "its owner never wrote that";
}

/** Where a follower that holds the whole map of a home shows other agents than the home itself does, a line each. */
export async function shownOtherwise(federation: Federation): Promise<string[]> {
  const complaints: string[] = [];
  for (const home of federation.running) {
    const own = await home.ask((node) => catalogueOf(node, home.did));
    const wanted = fingerprint(own ?? []);
    for (const reader of federation.running) {
      if (reader === home) continue;
      const shown = await reader.ask((node) => catalogueOf(node, home.did));
      if (shown !== undefined && fingerprint(shown) !== wanted) {
        complaints.push(`${reader.name} shows ${shown.length} agents of ${home.name}, which shows ${own?.length} or others`);
      }
    }
  }
  return complaints;
}

function fingerprint(records: readonly { readonly did: string; readonly revision: number; readonly hlc: string }[]): string {
  return records
    .map(({ did, revision, hlc }) => `${did} ${revision} ${hlc}`)
    .sort()
    .join("\n");
}
