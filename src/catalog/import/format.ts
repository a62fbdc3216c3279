import type { AgentInput } from "../../api.ts";

export type SourceObject = Readonly<Record<string, unknown>>;

/** What a format makes of a document, before the original is added and the whole is checked. */
export type Converted = { readonly agent: AgentInput } | { readonly refused: string };
