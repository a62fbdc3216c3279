import { writeFileSync } from "node:fs";
import { recordJsonSchema } from "./schema.ts";

/** Writes `schema.json` anew from the rules in `schema.ts`; a test holds the two together. */
export function schemaText(): string {
  return `${JSON.stringify(recordJsonSchema(), null, 2)}\n`;
}

if (import.meta.main) writeFileSync(new URL("schema.json", import.meta.url), schemaText());
