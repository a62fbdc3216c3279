import type { Federation } from "../federation/federation.ts";
import { catalogueOf } from "./checker.ts";
import { forgery } from "./forgery.ts";

/**
 * Where a home shows what its owner never wrote, or a follower that holds its whole map shows other agents than the home itself
 * does, a line each.
 */
export async function shownOtherwise(federation: Federation): Promise<string[]> {
  const complaints: string[] = [];
  for (const home of federation.running) {
    const own = await home.ask((node) => catalogueOf(node, home.did));
    complaints.push(...(own ?? []).flatMap((record) => forgery(home, home, record)));
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
