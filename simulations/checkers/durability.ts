import type { Machine } from "../federation/machine.ts";
import { catalogueOf } from "./checker.ts";

/** Acknowledged writes that the home's own catalogue no longer holds, a line each. `undefined` while the node is down. */
export async function lostBy(home: Machine): Promise<string[] | undefined> {
  const catalogue = await home.ask((node) => catalogueOf(node, home.did));
  if (catalogue === undefined) return undefined;
  return home.ledger.broken(catalogue).map((complaint) => `${home.name}: ${complaint}`);
}
