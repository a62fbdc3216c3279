import { ProtocolError } from "../../../protocols/lib/errors.ts";
import type { AgentInput } from "../../api.ts";
import { convertDocument, type DocumentFormat } from "./convert.ts";
import { readEither, readLines, readWhole, type SourceDocument } from "./lines.ts";
import type { Warn } from "./normalise.ts";

/** `jsonl` one agent a line · `a2a` one agent card · `mcp` one server.json or one a line · `auto` any of them, document by document */
export type ImportFormat = DocumentFormat | "auto";

export type ImportedLine = {
  /** Line on which the document begins, from 1. */
  readonly line: number;
  /** Bytes of the input that it took; over all documents (and trailing blank lines) they are the whole input. */
  readonly bytes: number;
} & (
  | { readonly agent: AgentInput; readonly warnings: readonly string[] }
  | { readonly error: { readonly code: string; readonly reason: string } }
);

export interface ImportOptions {
  /** DID of the importing registry: DIDs that it minted itself are kept. */
  readonly own?: string;
}

/** The longest document that is read, in bytes; a longer one is refused without being kept in memory. */
export const DOCUMENT_BYTES_MAX = 1_048_576;

/** Warnings kept for one document; a hostile one could have as many as bytes. */
export const WARNINGS_MAX = 32;

/**
 * Reads agents from documents, one after another: a bad one is an error with its line and never stops those after it.
 * The document is kept as the exact source string in `original`, except for our own export, which carries its own.
 */
export async function* readDocuments(
  chunks: AsyncIterable<Uint8Array>,
  format: ImportFormat,
  options: ImportOptions = {},
): AsyncIterable<ImportedLine> {
  const given = format === "auto" ? undefined : format;
  for await (const document of split(chunks, format)) yield importDocument(document, given, options.own);
}

function split(chunks: AsyncIterable<Uint8Array>, format: ImportFormat): AsyncIterable<SourceDocument> {
  if (format === "jsonl") return readLines(chunks, DOCUMENT_BYTES_MAX);
  return format === "a2a" ? readWhole(chunks, DOCUMENT_BYTES_MAX) : readEither(chunks, DOCUMENT_BYTES_MAX);
}

function importDocument(
  { line, bytes, data }: SourceDocument,
  format: DocumentFormat | undefined,
  own: string | undefined,
): ImportedLine {
  if (data === undefined) {
    return { line, bytes, error: { code: "too_large", reason: `longer than ${DOCUMENT_BYTES_MAX} bytes` } };
  }
  const warnings: string[] = [];
  const warn: Warn = (warning) => {
    if (warnings.length < WARNINGS_MAX && !warnings.includes(warning)) warnings.push(warning);
  };
  try {
    return { line, bytes, agent: convertDocument(data, format, own, warn), warnings };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { line, bytes, error: { code: error.code, reason: error.message } };
  }
}
