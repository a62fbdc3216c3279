import { simulate } from "../../simulations/runner/simulate.ts";

/** The runner over stand-ins: `node stand-in-main.ts MODULE [options of npm run simulate]`, MODULE one of `nodes/`. */
const [module, ...argv] = process.argv.slice(2);
process.exitCode = await simulate(argv, new URL(`./nodes/${module}.ts`, import.meta.url));
