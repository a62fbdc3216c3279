import type { Federation } from "../federation/federation.ts";
import { catalogueOf, isDamage } from "./checker.ts";

/** What running machines cannot show because its stored bytes have rotted, a line each. */
export async function unreadable(federation: Federation): Promise<string[]> {
  const complaints: string[] = [];
  for (const reader of federation.running) {
    for (const home of federation.machines) {
      try {
        await reader.ask((node) => catalogueOf(node, home.did));
      } catch (error) {
        if (!isDamage(error)) throw error;
        complaints.push(`${reader.name} cannot show the agents of ${home.name}: ${(error as Error).message}`);
      }
    }
  }
  return complaints;
}
