import { ConfigError } from '@evenkeel/core-tensor';
import { readTable, separatorHint, type Table, type TableRow } from './readTable.ts';

/** LabelledText — one example: a text or a pair of them, and its label as the file has it. */
export type LabelledText = { readonly text: string; readonly pair?: string; readonly label?: string; readonly line: number };

export type LabelledTextOptions = {
  /** Names of columns. Default: the first of the usual ones that is there. */
  text?: string;
  pair?: string;
  label?: string;
  /** Whether the rows may be without labels. Default false. */
  unlabelled?: boolean;
};

/** What columns are usually called. */
const NAMES = {
  text: ['text', 'sentence', 'sentence1', 'premise', 'question1', 'question', 'review', 'content', '#1 string'],
  pair: ['text_pair', 'sentence2', 'hypothesis', 'question2', '#2 string'],
  label: ['label', 'labels', 'class', 'target', 'gold_label', 'is_duplicate', 'sentiment', 'quality', 'score'],
} as const;

/** Columns that are a pair together, the first text first. */
const PAIRS = [['question', 'sentence']] as const;

/**
 * readLabelledTexts — texts and labels of a table (see `readTable`): by the names of its columns or, where it has none, in one of the layouts
 * of GLUE: text and label (SST-2); text, text and label; source, label, mark and text (CoLA).
 *
 * @throws ConfigError  if a column is missing (names those there are), a row has no text or no label, or a first row without known names of
 *                      columns looks like names; names file and line.
 */
export async function readLabelledTexts(path: string, options: LabelledTextOptions = {}): Promise<LabelledText[]> {
  const isAsked = options.text !== undefined || options.label !== undefined || options.pair !== undefined;
  const table = await readTable(path, { header: isAsked ? true : [...NAMES.text, ...NAMES.label] });
  const { text, pair, label } = table.columns === undefined ? layoutOf(table, options) : columnsOf(table as Required<Table>, options);
  return table.rows.map((row) => {
    const found = { text: fieldOf(table, row, text, 'text'), ...(pair !== undefined && { pair: fieldOf(table, row, pair, 'second text') }), line: row.line };
    return label === undefined ? found : { ...found, label: fieldOf(table, row, label, 'label').trim() };
  });
}

type Places = { readonly text: number; readonly pair?: number; readonly label?: number };

function columnsOf({ path, columns }: Required<Table>, options: LabelledTextOptions): Places {
  const lower = columns.map((name) => name.toLowerCase());
  const together = options.text === undefined && options.pair === undefined && !lower.includes('text') ? PAIRS.find((pair) => pair.every((name) => lower.includes(name))) : undefined;
  const usual = (kind: keyof typeof NAMES): string => (kind === 'label' ? undefined : together?.[kind === 'text' ? 0 : 1]) ?? NAMES[kind].find((name) => lower.includes(name)) ?? '';
  const placeOf = (kind: keyof typeof NAMES): number | undefined => {
    const asked = options[kind];
    const at = asked === undefined ? lower.indexOf(usual(kind)) : columns.indexOf(asked);
    if (asked !== undefined && at < 0) throw new ConfigError(`readLabelledTexts: ${path} must have the column ${asked}, got ${columns.join(', ')}${separatorHint(path, columns)}`);
    return at < 0 ? undefined : at;
  };
  const isAlone = options.text !== undefined && options.pair === undefined; // whoever names the text names both of a pair
  const [text, pair, label] = [placeOf('text'), isAlone ? undefined : placeOf('pair'), placeOf('label')];
  const hint = separatorHint(path, columns);
  if (text === undefined) throw new ConfigError(`readLabelledTexts: ${path} must have a column of texts, such as ${NAMES.text.slice(0, 3).join(', ')}, got ${columns.join(', ')}${hint}`);
  if (label === undefined && options.unlabelled !== true) throw new ConfigError(`readLabelledTexts: ${path} must have a column of labels, such as ${NAMES.label.slice(0, 3).join(', ')}, got ${columns.join(', ')}${hint}`);
  return { text, ...(pair !== undefined && { pair }), ...(label !== undefined && { label }) };
}

function layoutOf({ path, rows }: Table, { unlabelled = false }: LabelledTextOptions): Places {
  const { fields, fields: { length: count } } = rows[0] as TableRow;
  if (unlabelled && count === 2 && rows.some(({ fields: [, second = ''] }) => /\s/.test(second.trim()))) throw new ConfigError(`readLabelledTexts: ${path} must name its columns in the first row where two have several words, such as text and text_pair, got no names`);
  const layout = ({ 1: unlabelled ? { text: 0 } : undefined, 2: { text: 0, label: 1 }, 3: { text: 0, pair: 1, label: 2 }, 4: { text: 3, label: 1 } } as const)[count];
  if (layout === undefined) throw new ConfigError(`readLabelledTexts: ${path} must name its columns in the first row, or have two (text, label), three (text, text, label) or four (source, label, mark, text), got ${count}${separatorHint(path, fields)}`);
  const { label } = layout as Places;
  if (label !== undefined && looksLikeNames(rows, label)) {
    throw new ConfigError(`readLabelledTexts: ${path} must say which of its columns is a column of texts and which a column of labels, got a first row that looks like names (${fields.join(', ').slice(0, 80)}): its label is on no other line`);
  }
  return layout;
}

/** Whether the first row is rather the names of columns: its label is no number and occurs nowhere else, while others occur again and again. */
function looksLikeNames([first, ...rest]: readonly TableRow[], place: number): boolean {
  const labelOf = ({ fields }: TableRow): string => (fields[place] as string).trim();
  const [label, others] = [labelOf(first as TableRow), rest.map(labelOf)];
  return Number.isNaN(Number(label)) && !others.includes(label) && new Set(others).size <= others.length / 2;
}

function fieldOf({ path }: Table, { fields, line, nested }: TableRow, place: number, what: string): string {
  const field = fields[place] as string;
  if (nested?.includes(place)) throw new ConfigError(`readLabelledTexts: ${path} must have a ${what} in each row, got a list or an object on line ${line}`);
  if (field.trim() === '') throw new ConfigError(`readLabelledTexts: ${path} must have a ${what} in each row, got none on line ${line}`);
  return field;
}
