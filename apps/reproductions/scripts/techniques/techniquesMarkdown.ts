import { FAMILIES, type FamilyName } from './families.ts';
import { SECTIONS, type Row } from './rows.ts';
import { tryOut } from './tryOut.ts';

const HEAD = `# Techniques and models

Techniques are values: what stands in the second column is an option of the model, the optimizer or the training run, and no model knows of it.
A cross says that a tiny model of the family was trained for five steps with it: each loss was finite, each parameter changed, no tensor stayed
behind, a second run from the same seed had the same losses, and they differed from those without the technique (or, where it only computes them
in another way, did not). Where there is no cross, the reason is given. \`gpt\` is trained on the next token, \`bert\` on masked tokens of padded
sequences (\`bertWithHead(bert(…), maskedLmHead())\`), \`vit\` on classes. This page is written from those runs by
\`node --conditions=@evenkeel/source apps/reproductions/scripts/techniquesDocs.ts\`.
`;

/** Cell — a technique on a family. */
export type Cell = { readonly row: Row; readonly name: FamilyName };

const NAMES = Object.keys(FAMILIES) as FamilyName[];

/** CELLS — those of the table in which something is trained. */
export const CELLS: readonly Cell[] = Object.values(SECTIONS).flat().flatMap((row) => NAMES.filter((name) => row.not?.[name] === undefined).map((name) => ({ row, name })));

/** Tried — what is wrong with each of the cells, if anything is. */
export type Tried = ReadonlyMap<Cell, string | undefined>;

/** tryAll — trains every cell. */
export async function tryAll(): Promise<Tried> {
  const tried = new Map<Cell, string | undefined>();
  for (const cell of CELLS) tried.set(cell, await tryOut(cell.name, cell.row));
  return tried;
}

/** techniquesMarkdown — the page that came of it. */
export function techniquesMarkdown(tried: Tried): string {
  const resultOf = new Map([...tried].map(([{ row, name }, problem]) => [`${row.name} ${name}`, problem ?? '×']));
  const lineOf = (row: Row): string => `| ${[row.name, `\`${row.code}\``, row.source ?? '',
    ...NAMES.map((name) => row.not?.[name] ?? resultOf.get(`${row.name} ${name}`) ?? 'not tried')].join(' | ')} |`;
  const head = [`| technique | option | source | ${NAMES.join(' | ')} |`, `|---|---|---|${NAMES.map(() => ':-:|').join('')}`];
  return [HEAD, ...head, ...Object.entries(SECTIONS).flatMap(([title, rows]) => [`| **${title}** |${' |'.repeat(2 + NAMES.length)}`, ...rows.map(lineOf)]), '', NOTES].join('\n');
}

const NOTES = `In a multi-level cycle a word embedding that is the head as well needs a \`logitScale\` twice as large in half the width: \`gpt\` and \`bert\` have
one. A norm called for by \`norm\` is also that of BERT's embedding. Micro-batches leave the loss of masked tokens as it is where each part has as many of them.
BERT's own linear biases are \`positions: 'alibi'\`. \`monitor\` is given \`visibleKeys: 'all'\` for encoders.
`;
