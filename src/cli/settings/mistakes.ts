/** One thing that is wrong with the settings, for a person who wants to put it right. */
export interface SettingMistake {
  /** The variable or flag, or the env file itself. */
  readonly setting: string;
  /** Where it was said: `flag`, `environment`, `default`, or `<env file> line <n>`. */
  readonly source: string;
  readonly problem: string;
  readonly fix: string;
}

/** Every mistake in the settings at once. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  readonly mistakes: readonly SettingMistake[];
  /** Unknown variables and the like: a misspelt name is often why another setting is missing. */
  readonly warnings: readonly string[];

  constructor(mistakes: readonly SettingMistake[], warnings: readonly string[]) {
    const count = mistakes.length === 1 ? "a setting is" : `${mistakes.length} settings are`;
    super([`${count} not right:`, ...mistakes.map(describe)].join("\n"));
    this.mistakes = mistakes;
    this.warnings = warnings;
  }
}

function describe({ setting, source, problem, fix }: SettingMistake): string {
  return `  ${setting} (${source}): ${problem}\n    → ${fix}`;
}

/** Edits that a typing error may take, for a name to be offered instead. */
const SUGGESTION_DISTANCE_MAX = 4;

/** The known name nearest to `unknown`, if it is near enough to be meant. */
export function didYouMean(unknown: string, known: readonly string[]): string | undefined {
  const ranked = known.map((name) => ({ name, edits: distance(unknown, name) })).sort((a, b) => a.edits - b.edits);
  const [nearest] = ranked;
  return nearest !== undefined && nearest.edits <= SUGGESTION_DISTANCE_MAX ? nearest.name : undefined;
}

/** Levenshtein distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
