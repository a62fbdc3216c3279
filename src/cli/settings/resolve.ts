import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { z } from "zod";
import { CONFIG_DEFAULTS, registryConfigSchema, type RegistryConfig } from "../../config.ts";
import { readSetting, SETTINGS, type Setting } from "./definitions.ts";
import { ENV_FILE_BYTES_MAX, parseEnvFile, type EnvFile } from "./env-file.ts";
import { didYouMean, SettingsError, type SettingMistake } from "./mistakes.ts";

type Field = keyof RegistryConfig;

export interface SettingSources {
  /** What the flags said, by field; a flag that was not given is absent. */
  readonly flags: Readonly<Partial<Record<Field, readonly string[]>>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `--env-file`: must exist. Without it `.env` in the working directory is read if it is there. */
  readonly envFile?: string | undefined;
  readonly workingDirectory: string;
}

export interface ResolvedSettings {
  readonly config: RegistryConfig;
  readonly origins: Readonly<Record<Field, Origin>>;
  /** Unknown variables and the like: worth saying, no reason to stop. */
  readonly warnings: readonly string[];
}

export interface Origin {
  readonly kind: "flag" | "environment" | "file" | "default";
  /** The flag, the variable, or `<env file> line <n>`; `default` for a default. */
  readonly name: string;
}

interface Found {
  readonly value: unknown;
  readonly origin: Origin;
}

export const ENV_FILE_NAME = ".env";
const PREFIXES = ["REGISTRY_", "FEDERATION_"];

/**
 * Flags, then environment, then env file, then defaults; an empty variable counts as not set.
 * @param only fields whose mistakes matter to the caller (a client of a running node needs the data directory alone)
 * @throws SettingsError with every mistake
 */
export function resolveSettings(sources: SettingSources, only?: readonly Field[]): ResolvedSettings {
  const mistakes: SettingMistake[] = [];
  const file = readEnvFile(sources, mistakes);
  const found = new Map(SETTINGS.map((setting) => [setting.field, find(setting, sources, file)]));
  const candidate = Object.fromEntries([...found].map(([field, { value }]) => [field, value]));
  const checked = registryConfigSchema.safeParse(candidate);
  for (const issue of checked.error?.issues ?? []) mistakes.push(mistakeOf(issue, found));
  const relevant = only === undefined ? mistakes : mistakes.filter((mistake) => concerns(mistake, only));
  const warnings = unknownVariables(sources, file);
  if (relevant.length > 0) throw new SettingsError(relevant, warnings);
  const config = (checked.success ? checked.data : { ...CONFIG_DEFAULTS, ...candidate }) as RegistryConfig;
  const path = (name: string): string => resolve(sources.workingDirectory, name);
  const { dataDir, tlsCertificate, tlsKey } = config;
  const tls = { tlsCertificate: tlsCertificate && path(tlsCertificate), tlsKey: tlsKey && path(tlsKey) };
  return {
    config: { ...config, dataDir: path(dataDir), ...tls },
    origins: Object.fromEntries([...found].map(([field, { origin }]) => [field, origin])) as Record<Field, Origin>,
    warnings,
  };
}

function readEnvFile(sources: SettingSources, mistakes: SettingMistake[]): (EnvFile & { readonly name: string }) | undefined {
  const name = sources.envFile ?? ENV_FILE_NAME;
  const path = resolve(sources.workingDirectory, name);
  const refuse = (problem: string, fix: string, line?: number): void => {
    mistakes.push({ setting: name, source: line === undefined ? "env file" : `line ${line}`, problem, fix });
  };
  try {
    const { size } = statSync(path);
    if (size > ENV_FILE_BYTES_MAX) {
      refuse(`has ${size} bytes, at most ${ENV_FILE_BYTES_MAX} are read`, "keep only settings in it");
      return undefined;
    }
    const file = parseEnvFile(readFileSync(path, "utf8"));
    for (const { line, problem } of file.problems) refuse(problem, "write one NAME=value a line, comments after #", line);
    return { ...file, name };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isAbsent = code === "ENOENT" && sources.envFile === undefined;
    if (!isAbsent) refuse(`cannot be read (${code ?? String(error)})`, "name a readable file after --env-file, or leave it out");
    return undefined;
  }
}

function find(setting: Setting, sources: SettingSources, file: (EnvFile & { readonly name: string }) | undefined): Found {
  const flag = sources.flags[setting.field];
  if (flag !== undefined) return { value: readSetting(setting, flag), origin: { kind: "flag", name: setting.flag } };
  const variable = sources.environment[setting.variable];
  if (variable !== undefined && variable !== "") {
    return { value: readSetting(setting, [variable]), origin: { kind: "environment", name: setting.variable } };
  }
  // An environment variable that is set but empty still hides the file: that is how an operator switches a line of it off.
  const entry = variable === undefined ? file?.values.get(setting.variable) : undefined;
  if (file !== undefined && entry !== undefined && entry.text !== "") {
    return { value: readSetting(setting, [entry.text]), origin: { kind: "file", name: `${file.name} line ${entry.line}` } };
  }
  return { value: CONFIG_DEFAULTS[setting.field], origin: { kind: "default", name: "default" } };
}

function mistakeOf(issue: z.core.$ZodIssue, found: ReadonlyMap<Field, Found>): SettingMistake {
  const setting = SETTINGS.find(({ field }) => field === issue.path[0]) as Setting;
  const { kind, name } = (found.get(setting.field) as Found).origin;
  const fix = issue.code === "custom" ? (issue.params?.["fix"] as string | undefined) : undefined;
  return {
    setting: kind === "flag" ? setting.flag : setting.variable,
    source: kind === "file" ? name : kind,
    problem: issue.message,
    fix: fix ?? setting.fix,
  };
}

function concerns(mistake: SettingMistake, fields: readonly Field[]): boolean {
  const setting = SETTINGS.find(({ flag, variable }) => flag === mistake.setting || variable === mistake.setting);
  return setting === undefined || fields.includes(setting.field);
}

function unknownVariables(sources: SettingSources, file: (EnvFile & { readonly name: string }) | undefined): string[] {
  const known = SETTINGS.map(({ variable }) => variable);
  const isUnknown = (name: string): boolean => PREFIXES.some((prefix) => name.startsWith(prefix)) && !known.includes(name);
  const warn = (name: string, source: string): string => {
    const meant = didYouMean(name, known);
    return `${name} (${source}) is not a setting${meant === undefined ? "" : `: did you mean ${meant}?`}`;
  };
  const inFile = [...(file?.values ?? [])].filter(([name]) => isUnknown(name));
  return [
    ...Object.keys(sources.environment)
      .filter(isUnknown)
      .map((name) => warn(name, "environment")),
    ...inFile.map(([name, { line }]) => warn(name, `${file?.name ?? ""} line ${line}`)),
  ];
}
