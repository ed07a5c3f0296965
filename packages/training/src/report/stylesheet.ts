/** stylesheet — the report's look: system fonts, one column of cards, light or dark as the reader's system is. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5c6875; --rule: #e3e7ec;
  --train: #2563eb; --validation: #d9480f; --rate: #0f8a5f; --norm: #7c3aed; --speed: #0e7490;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151c; --card: #18202a; --ink: #e6ebf1; --soft: #93a1b1; --rule: #2a3542;
    --train: #6ea8fe; --validation: #ffa266; --rate: #4cc99a; --norm: #b794f6; --speed: #56c4dc;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { margin: 0 0 0.25rem; font-size: 1.75rem; line-height: 1.25; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1.05rem; }
.status { margin: 0 0 1.5rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 45%), 1fr)); gap: 0.75rem; margin: 0 0 0.75rem; }
.tile, section { background: var(--card); border: 1px solid var(--rule); border-radius: 0.6rem; }
.tile { padding: 0.75rem 1rem; }
.tile dt { color: var(--soft); font-size: 0.8rem; }
.tile dd { margin: 0; font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tile small { display: block; color: var(--soft); font-size: 0.78rem; font-weight: 400; }
section { margin: 0 0 0.75rem; padding: 1rem 1.25rem 1.1rem; overflow-x: auto; }
header { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; align-items: baseline; margin-bottom: 0.6rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; margin: 0; padding: 0; list-style: none; color: var(--soft); font-size: 0.82rem; }
.legend i { display: inline-block; width: 1.3em; height: 0; margin-right: 0.45em; vertical-align: 0.28em; border-top: 3px solid var(--tone); border-radius: 2px; }
.legend .faint i { opacity: 0.35; }
.legend .dots i { width: 0.6em; height: 0.6em; vertical-align: 0; border: 0; border-radius: 50%; background: var(--tone); }
svg { display: block; width: 100%; min-width: 34rem; height: auto; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .label { font-size: 12.5px; }
svg .grid { stroke: var(--rule); }
svg .base, svg .tick { stroke: var(--soft); }
svg .curve { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .faint { stroke-width: 1; opacity: 0.35; }
svg .dots { stroke-width: 1.25; opacity: 0.7; }
svg circle { fill: var(--tone); stroke: var(--card); stroke-width: 1; }
.train { --tone: var(--train); } .validation { --tone: var(--validation); } .rate { --tone: var(--rate); }
.norm { --tone: var(--norm); } .speed { --tone: var(--speed); }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.3rem 0.5rem 0.3rem 0; border-top: 1px solid var(--rule); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
tr:first-child th, tr:first-child td { border-top: 0; }
th { width: 40%; color: var(--soft); font-weight: 400; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 0.88rem/1.55 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
footer { margin-top: 1.5rem; color: var(--soft); font-size: 0.82rem; }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
`;
