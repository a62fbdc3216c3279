import { Option, type Command } from "commander";
import { defaultText, SETTINGS } from "./settings/definitions.ts";

/** Flags that every command takes, so that they stand on the program. */
const GLOBAL_FLAGS = ["--data-dir", "--log-level"];

const append = (item: string, items: readonly string[] | undefined): readonly string[] => [...(items ?? []), item];

/** Every setting as a flag, for the commands that make or run a registry. */
export function addSettingOptions(command: Command): Command {
  for (const setting of SETTINGS.filter(({ flag }) => !GLOBAL_FLAGS.includes(flag))) {
    const isMany = setting.kind === "list" || setting.kind === "follow";
    const fallback = defaultText(setting);
    const notes = [setting.variable, isMany ? "repeatable" : "", fallback === "" ? "" : `default ${fallback}`].filter(
      (note) => note !== "",
    );
    const option = new Option(`${setting.flag} <${setting.argument}>`, `${setting.help} (${notes.join("; ")})`);
    command.addOption(isMany ? option.argParser(append) : option);
  }
  return command;
}
