import type { AgentInput } from "../../api.ts";

/** Trades that a sample agent may have: what it is called, what it can do, what it says of itself. */
const TRADES: readonly (readonly [name: string, capabilities: readonly string[], description: string])[] = [
  ["translator", ["translation/de-en", "translation/en-fr"], "Translates documents and keeps their layout and terms."],
  ["summariser", ["text/summary"], "Turns long reports into one page that can be trusted."],
  ["invoice-reader", ["document/extraction", "finance/invoices"], "Reads invoices and books them to the right accounts."],
  ["route-planner", ["geo/routing", "logistics/planning"], "Plans delivery rounds and replans them when a road closes."],
  ["code-reviewer", ["code/review", "code/security"], "Reviews changes and explains what could go wrong."],
  ["meeting-scribe", ["audio/transcription", "text/summary"], "Writes down meetings: who decided what, and by when."],
  [
    "contract-checker",
    ["document/extraction", "legal/review"],
    "Finds the clauses of a contract that differ from your standard.",
  ],
  ["data-analyst", ["data/analysis", "data/charts"], "Answers questions about tables, with the query that it used."],
  ["help-desk", ["support/triage"], "Sorts incoming questions and answers those that are known."],
  ["crop-advisor", ["agriculture/advice", "geo/weather"], "Advises on sowing and watering from local weather and soil."],
  ["lab-assistant", ["data/analysis", "science/chemistry"], "Keeps the notebook of experiments and checks the sums."],
  ["travel-agent", ["travel/booking", "travel/planning"], "Plans journeys by train first, and books them."],
  ["tutor", ["education/mathematics"], "Explains mathematics one step at a time, at your pace."],
  ["image-describer", ["image/description"], "Describes pictures for people who cannot see them."],
  ["warehouse-clerk", ["logistics/inventory"], "Counts what is on the shelves and orders what runs low."],
  ["energy-planner", ["energy/forecast", "energy/planning"], "Shifts loads to the hours when power is cheap and clean."],
];

const OWNERS = ["harbour", "meadow", "northwind", "lantern", "granite", "orchard", "tidewater", "saffron", "juniper", "compass"];

/** The same `total` plausible agents on every run; names are unique. */
export function sampleAgents(total: number): AgentInput[] {
  return Array.from({ length: total }, (_, i) => sampleAgent(i));
}

function sampleAgent(index: number): AgentInput {
  const [trade, capabilities, description] = TRADES[index % TRADES.length] as (typeof TRADES)[number];
  const round = Math.floor(index / TRADES.length);
  const owner = OWNERS[round % OWNERS.length] as string;
  const edition = Math.floor(round / OWNERS.length) + 1;
  const slug = edition === 1 ? trade : `${trade}-${edition}`;
  return {
    humanReadableId: `${owner}/${slug}`,
    name: `${capitalised(owner)} ${slug.replaceAll("-", " ")}`,
    description,
    capabilities,
    tags: ["sample", trade],
    endpoints: [{ url: `https://${owner}.example/agents/${slug}`, protocol: "a2a" }],
    version: `1.${round % 10}.0`,
    status: "active",
    // Spread over the upper half of the scale, in its steps of 0.01.
    reputation_score: (50 + ((index * 37) % 50)) / 100,
  };
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
