import type { AgentInput } from "../../api.ts";

/** What a document says of an agent; what it leaves out is filled in as for any agent that is handed in. */
export type AgentDraft = Pick<AgentInput, "humanReadableId"> & { readonly [K in keyof AgentInput]?: AgentInput[K] | undefined };

export type SourceObject = Readonly<Record<string, unknown>>;

/** What a format makes of a document, before the original is added and the whole is checked. */
export type Converted = { readonly agent: AgentDraft } | { readonly refused: string };
