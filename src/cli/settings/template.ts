import { defaultText, SETTINGS } from "./definitions.ts";

const HEADER = `# Settings of a registry. Flags win over the environment, the environment over this file, this file over the defaults.
# An empty value means the default. Lists are separated by commas. Paths are relative to the working directory.
`;

/**
 * An env file with every variable, its meaning and its value.
 * @param chosen by variable; the others stand with their default, as comments when `chosen` is given: a port that a file
 *   names is a port that was asked for, and must not quietly become another
 */
export function envTemplate(chosen?: Readonly<Record<string, string>>): string {
  const blocks = SETTINGS.map((setting) => {
    const { variable, kind, help } = setting;
    const value = chosen?.[variable];
    const note = kind === "list" ? " (comma-separated)" : "";
    const mark = chosen !== undefined && value === undefined ? "# " : "";
    return `# ${help.charAt(0).toUpperCase()}${help.slice(1)}${note}.\n${mark}${variable}=${value ?? defaultText(setting)}\n`;
  });
  return [HEADER, ...blocks].join("\n");
}
