/**
 * A strict reader of env files: `NAME=value`, `#` comments, optional `export`, single or double quotes. Node's own parser skips
 * what it does not understand, and a setting that is silently ignored is worse than one that is refused.
 */
export interface EnvFile {
  readonly values: ReadonlyMap<string, { readonly text: string; readonly line: number }>;
  readonly problems: readonly { readonly line: number; readonly problem: string }[];
}

export const ENV_FILE_BYTES_MAX = 65_536;

const ASSIGNMENT = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

export function parseEnvFile(content: string): EnvFile {
  const values = new Map<string, { text: string; line: number }>();
  const problems: { line: number; problem: string }[] = [];
  const lines = content.replace(/^\uFEFF/, "").split(/\r?\n/);
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const [, name, rest] = ASSIGNMENT.exec(trimmed) ?? [];
    if (name === undefined || rest === undefined) {
      problems.push({ line, problem: "is not NAME=value" });
      continue;
    }
    const text = readValue(rest);
    const earlier = values.get(name);
    if (text === undefined) problems.push({ line, problem: `has a quote that does not end with the value of ${name}` });
    else if (earlier !== undefined) problems.push({ line, problem: `sets ${name} again (first on line ${earlier.line})` });
    else values.set(name, { text, line });
  }
  return { values, problems };
}

function readValue(rest: string): string | undefined {
  const quote = rest[0];
  if (quote === '"' || quote === "'") {
    const end = rest.indexOf(quote, 1);
    const isWhole = end > 0 && /^\s*(?:#.*)?$/.test(rest.slice(end + 1));
    return isWhole ? rest.slice(1, end) : undefined;
  }
  return rest.replace(/(?:^|\s)#.*$/, "").trim();
}
