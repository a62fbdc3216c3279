import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../../src/adapters/memory/store.ts";
import type { Store } from "../../../src/ports/store.ts";
import { describeStore, type StoreUnderTest } from "../../contract/store.ts";

async function memoryUnderTest(decorate: (store: Store) => Store): Promise<StoreUnderTest> {
  const store = new MemoryStore();
  return { store: decorate(store), reopen: async () => decorate(store.crash()), dispose: async () => undefined };
}

describeStore("memory", () => memoryUnderTest((store) => store));
describeStore("memory, checksummed", () => memoryUnderTest(checksummed));
