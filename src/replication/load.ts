import type { Catalogue } from "../catalog/catalogue.ts";
import { CatalogueDamaged, loadCatalogue } from "../catalog/load.ts";
import { catalogueRange, deleteRange, rowKey } from "../catalog/rows.ts";
import type { Log } from "../ports/log.ts";
import { StoreError, type Store } from "../ports/store.ts";

export interface LoadOptions {
  readonly store: Store;
  readonly number: number;
  readonly home: string;
  readonly log: Log;
}

/** A replica is a copy: what is damaged beyond repair is forgotten and fetched anew. */
export async function loadOrForget(options: LoadOptions): Promise<Catalogue> {
  const { store, number, home, log } = options;
  try {
    // A number is given out again: nothing may be left of its owner before.
    if ((await store.get(rowKey(number, "head"))) === undefined) await deleteRange(store, catalogueRange(number));
    return await loadCatalogue(store, number, home);
  } catch (error) {
    const isDamage = error instanceof CatalogueDamaged || (error instanceof StoreError && error.code === "damaged");
    if (!isDamage) throw error;
    log.warn("a replica's stored rows do not add up and are fetched again", { home, reason: error.message });
    await deleteRange(store, catalogueRange(number));
    return loadCatalogue(store, number, home);
  }
}
