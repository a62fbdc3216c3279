import { resolve } from "node:path";
import type { RegistryNode } from "./api.ts";
import { startRegistry } from "./compose.ts";
import { CONFIG_DEFAULTS, registryConfigSchema, type RegistryConfig } from "./config.ts";

/**
 * A registry inside your own program. What is not given has the default of the command line; nothing is read from the
 * environment or from files.
 *
 * @example
 * const registry = await Registry.start({ name: "acme", dataDir: "./acme" });
 * await registry.mutate([{ op: "put", agent }]);
 * await registry.stop();
 */
export const Registry: { start(config?: Partial<RegistryConfig>): Promise<RegistryNode> } = {
  /** @throws ZodError naming every setting that does not fit, and what `startRegistry` throws */
  async start(config = {}) {
    const settings = registryConfigSchema.parse({ ...CONFIG_DEFAULTS, ...config });
    return startRegistry({ ...settings, dataDir: resolve(settings.dataDir) });
  },
};

export type * from "./api.ts";
export { LIST_LIMIT_MAX, MUTATIONS_MAX, NodeError } from "./api.ts";
export type { FollowPolicy, LogLevel, RegistryConfig } from "./config.ts";
export { CONFIG_DEFAULTS } from "./config.ts";
export { readDocuments, type ImportFormat, type ImportedLine } from "./catalog/import/documents.ts";
export { verifyProofDocument, type ProofReport } from "../protocols/checkpoint/proof-document.ts";
export type { AgentFields, AgentRecord, AgentStatus, Endpoint, OriginalDocument } from "../protocols/record/record.ts";
