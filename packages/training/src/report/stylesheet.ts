/** stylesheet — the look of our pages: system fonts, one column of cards, light or dark as the reader's system is. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5c6875; --rule: #e3e7ec;
  --good: #0b7a4b; --bad: #c8261c; --warning: #9a5b00;
  --tone-1: #2563eb; --tone-2: #d9480f; --tone-3: #0f8a5f; --tone-4: #7c3aed; --tone-5: #b0890a; --tone-6: #c2255c; --tone-7: #0e7490; --tone-8: #6b7280;
  --first: #1d4ed8; --last: #ea580c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151c; --card: #18202a; --ink: #e6ebf1; --soft: #93a1b1; --rule: #2a3542;
    --good: #4cc99a; --bad: #ff8078; --warning: #f2b84b;
    --tone-1: #6ea8fe; --tone-2: #ffa266; --tone-3: #4cc99a; --tone-4: #b794f6; --tone-5: #e3c14d; --tone-6: #f783ac; --tone-7: #56c4dc; --tone-8: #a8b0ba;
    --first: #7aa7ff; --last: #ffa04d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { margin: 0 0 0.25rem; font-size: 1.75rem; line-height: 1.25; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1.05rem; }
a { color: inherit; text-underline-offset: 0.15em; }
.status { margin: 0 0 1.5rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 45%), 1fr)); gap: 0.75rem; margin: 0 0 0.75rem; }
.tile, section { background: var(--card); border: 1px solid var(--rule); border-radius: 0.6rem; }
.tile { padding: 0.75rem 1rem; }
.tile dt { color: var(--soft); font-size: 0.8rem; }
.tile dd { margin: 0; font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tile small { display: block; color: var(--soft); font-size: 0.78rem; font-weight: 400; }
section { margin: 0 0 0.75rem; padding: 1rem 1.25rem 1.1rem; overflow-x: auto; }
section header { display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: baseline; margin-bottom: 0.6rem; }
section p { margin: 0 0 0.7rem; max-width: 46rem; }
section .note { margin: 0.7rem 0 0; color: var(--soft); font-size: 0.82rem; }
.badge { padding: 0.05rem 0.6rem; border: 1px solid currentColor; border-radius: 1rem; font-size: 0.8rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .warning { color: var(--warning); }
.list { margin: 0 0 0.7rem; padding: 0; list-style: none; }
.list li { padding: 0.3rem 0 0.3rem 0.8rem; margin: 0 0 0.3rem; border-left: 3px solid var(--rule); overflow-wrap: anywhere; }
.list .good, .list .bad, .list .warning { color: inherit; border-left-color: var(--mark); }
.list .good { --mark: var(--good); } .list .bad { --mark: var(--bad); } .list .warning { --mark: var(--warning); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.1rem 1.5rem; align-items: end; }
figure { margin: 0; }
figure + table, .charts + table { margin-top: 0.9rem; }
figcaption { margin: 0 0 0.3rem; font-size: 0.92rem; font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1rem; margin: 0 0 0.5rem; padding: 0; list-style: none; color: var(--soft); font-size: 0.82rem; }
.legend i { display: inline-block; width: 1.4em; height: 0; margin-right: 0.45em; vertical-align: 0.28em; border-top: 3px solid var(--tone); border-radius: 2px; }
.legend .faint { opacity: 0.4; }
.legend .dashed { border-top-style: dashed; border-radius: 0; }
.legend .dots { width: 0.6em; height: 0.6em; vertical-align: 0; border: 0; border-radius: 50%; background: var(--tone); }
.legend .ramp { flex: 0 0 7rem; align-self: center; height: 5px; border-radius: 3px; background: linear-gradient(in oklch to right, var(--first), var(--last)); }
svg { display: block; width: 100%; height: auto; }
figure > svg { overflow: visible; }
.full > svg { min-width: 34rem; }
.half > svg { min-width: 19rem; }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .label { font-size: 12.5px; }
svg .grid { stroke: var(--rule); }
svg .base, svg .tick { stroke: var(--soft); }
svg .curve { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .faint { stroke-width: 1; opacity: 0.35; }
svg .dashed { stroke-dasharray: 5 5; }
svg .dots { stroke-width: 1.25; opacity: 0.7; }
svg circle { fill: var(--tone); stroke: var(--card); stroke-width: 1; }
svg .cross { fill: none; stroke: var(--tone); stroke-width: 2.25; stroke-linecap: round; }
svg .reference { stroke: var(--ink); stroke-dasharray: 4 4; opacity: 0.6; }
svg .named { fill: var(--ink); font-size: 11.5px; paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
.tone-1 { --tone: var(--tone-1); } .tone-2 { --tone: var(--tone-2); } .tone-3 { --tone: var(--tone-3); } .tone-4 { --tone: var(--tone-4); }
.tone-5 { --tone: var(--tone-5); } .tone-6 { --tone: var(--tone-6); } .tone-7 { --tone: var(--tone-7); } .tone-8 { --tone: var(--tone-8); }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-top: 1px solid var(--rule); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 500; }
thead th { border-top: 0; color: var(--soft); font-weight: 400; vertical-align: bottom; }
table:not(.pairs) :is(th, td) { overflow-wrap: break-word; }
.pairs tr:first-child th, .pairs tr:first-child td { border-top: 0; }
.pairs th { width: 40%; color: var(--soft); font-weight: 400; }
.matrix { width: auto; border-collapse: separate; border-spacing: 2px; font-size: 0.82rem; }
.matrix :is(th, td) { border: 0; padding: 0.2rem 0.45rem; vertical-align: middle; overflow-wrap: normal; white-space: nowrap; }
.matrix tbody th { color: var(--ink); text-align: right; }
.matrix thead th { max-width: 5.5rem; color: var(--soft); text-align: center; }
.matrix thead span { display: block; overflow: hidden; text-overflow: ellipsis; }
.matrix thead .axes { max-width: none; font-size: 0.75rem; }
.matrix td { min-width: 2.6rem; text-align: center; border-radius: 0.2rem; background: color-mix(in srgb, var(--mark) calc(var(--share) * 100%), var(--page)); }
.matrix .right { --mark: var(--tone-1); } .matrix .wrong { --mark: var(--tone-2); } .matrix .strong { color: var(--card); }
.matrix .recall { background: none; color: var(--soft); text-align: right; }
.matrix.dense { border-spacing: 0; } .matrix.dense td { min-width: 0.7rem; padding: 0.1rem; border-radius: 0; } .matrix.dense thead span { writing-mode: vertical-rl; max-height: 6rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 0.8rem; }
.pictures img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; border-radius: 0.3rem; background: var(--page); }
.pictures figcaption { margin: 0.25rem 0 0; font-size: 0.75rem; font-weight: 400; line-height: 1.3; overflow-wrap: anywhere; }
.pictures .good, .pictures .bad { color: inherit; } .pictures .bad figcaption { color: var(--bad); }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 0.88rem/1.55 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
footer { margin-top: 1.5rem; color: var(--soft); font-size: 0.82rem; }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
`;
