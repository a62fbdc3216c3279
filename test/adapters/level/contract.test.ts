import { join } from "node:path";
import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { openLevelStore } from "../../../src/adapters/level/level-store.ts";
import type { Store } from "../../../src/ports/store.ts";
import { describeStore, type StoreUnderTest } from "../../contract/store.ts";
import { temporaryDirectory } from "./temporary.ts";

async function levelUnderTest(decorate: (store: Store) => Store): Promise<StoreUnderTest> {
  const { path, remove } = await temporaryDirectory();
  const open = async (): Promise<Store> => decorate((await openLevelStore({ directory: join(path, "store") })).store);
  const opened: Store[] = [await open()];
  return {
    store: opened[0] as Store,
    reopen: async () => {
      const store = await open();
      opened.push(store);
      return store;
    },
    dispose: async () => {
      for (const store of opened) await store.close();
      await remove();
    },
  };
}

describeStore("level", () => levelUnderTest((store) => store));
describeStore("level, checksummed", () => levelUnderTest(checksummed));
