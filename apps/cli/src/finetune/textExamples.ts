import { ConfigError } from '@evenkeel/core-tensor';
import { readLabelledTexts, type LabelledText, type LabelledTextOptions } from '@evenkeel/data';
import { drawnSplit } from '../drawnSplit.ts';
import { UsageError } from '../errors.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { recipeOf } from './recipes.ts';

/** Split — examples to train on and to validate with. */
export type Split<T> = { readonly train: readonly T[]; readonly val: readonly T[] };

/** split — a share of the examples, drawn at random, for validation; or those of a file of their own. */
export function split<T>(all: readonly T[], val: readonly T[] | undefined, settings: Pick<FinetuneSettings, 'valFraction' | 'seed'>): Split<T> {
  if (val !== undefined) return { train: all, val };
  const drawn = drawnSplit(all.length, 'examples', settings);
  const at = (indices: Uint32Array): T[] => Array.from(indices, (index) => all[index] as T);
  return { train: at(drawn.train), val: at(drawn.val) };
}

/** ClassExample — a text with its class. */
export type ClassExample = LabelledText & { readonly id: number };

/** readTexts — texts and their labels from a table; an error about its columns names the flags that say which they are. */
export async function readTexts(path: string, options: LabelledTextOptions): Promise<LabelledText[]> {
  try {
    return await readLabelledTexts(path, options);
  } catch (error) {
    if (!(error instanceof ConfigError) || error.message.includes('its fields must have')) throw error; // with other separators there are no columns to name
    const flags = ['text', 'label'].filter((kind) => error.message.includes(`a column of ${kind}s`)).map((kind) => `--${kind}-column`);
    if (flags.length === 0) throw error;
    throw new ConfigError(`${error.message}; name ${flags.length === 1 ? 'it' : 'them'} with ${flags.join(' and ')}`, { cause: error });
  }
}

/** firstRowNotes — says of a table without names of columns that its first row is an example. */
export const firstRowNotes = (path: string, [first]: readonly LabelledText[]): string[] =>
  (first?.line === 1 && !/\.(json|jsonl|ndjson)$/i.test(path) ? [`${path} has no names of columns: row 1 is read as an example`] : []);

type Columns = Pick<FinetuneSettings, 'textColumn' | 'textPairColumn' | 'labelColumn'>;

/** columnsOf — names of columns as the reader takes them. */
export const columnsOf = ({ textColumn, textPairColumn, labelColumn }: Columns): LabelledTextOptions => ({
  ...(textColumn !== null && { text: textColumn }), ...(textPairColumn !== null && { pair: textPairColumn }), ...(labelColumn !== null && { label: labelColumn }),
});

/** ScoredExample — a text with the number that is to be said of it. */
export type ScoredExample = LabelledText & { readonly score: number };

/**
 * readScoredExamples — texts with numbers.
 *
 * @throws UsageError  naming file and line of a label that is no number or of a task's second text that is not there.
 */
export async function readScoredExamples(settings: Columns & Pick<FinetuneSettings, 'task' | 'data' | 'valData' | 'valFraction' | 'seed'>): Promise<Split<ScoredExample> & { readonly notes: readonly string[] }> {
  const { data, valData } = settings;
  const rowsOf = async (path: string, flag: string): Promise<ScoredExample[]> => (await rowsIn(path, settings)).map((row) => {
    const score = Number(row.label);
    if (row.label !== '' && Number.isFinite(score)) return { ...row, score };
    throw new UsageError(`${flag} must have numbers as labels, got ${JSON.stringify(row.label?.slice(0, 40))} on line ${row.line} of ${path}`);
  });
  const [texts, valTexts] = [await rowsOf(data, '--data'), valData === null ? undefined : await rowsOf(valData, '--val-data')];
  return { ...split(texts, valTexts, settings), notes: notesOf(settings, texts, valTexts) };
}

/** The rows of a file, with two texts where the task wants them. */
async function rowsIn(path: string, settings: Columns & Pick<FinetuneSettings, 'task'>): Promise<LabelledText[]> {
  const rows = await readTexts(path, columnsOf(settings));
  if (recipeOf(settings.task).isPaired && rows[0]?.pair === undefined) throw new UsageError(`--task ${settings.task} must have two texts in each row, got one in ${path}; --text-column and --text-pair-column name them`);
  return rows;
}

const notesOf = ({ data, valData }: Pick<FinetuneSettings, 'data' | 'valData'>, texts: readonly LabelledText[], valTexts: readonly LabelledText[] | undefined): string[] =>
  [...firstRowNotes(data, texts), ...(valTexts === undefined ? [] : firstRowNotes(valData as string, valTexts))];

/**
 * readClassExamples — texts with their classes, which are the different labels of the training file: numbers in their order, others in the
 * alphabet's. Those of tasks of GLUE are known.
 *
 * @throws UsageError  naming file and line of a label that is no class or of a task's second text that is not there.
 */
export async function readClassExamples(
  settings: Columns & Pick<FinetuneSettings, 'task' | 'data' | 'valData' | 'valFraction' | 'seed'>,
): Promise<Split<ClassExample> & { readonly classes: readonly string[]; /** About the files, for people. */ readonly notes: readonly string[] }> {
  const { data, valData, task } = settings;
  const { classes: names, numClasses } = recipeOf(task);
  const rowsOf = async (path: string): Promise<LabelledText[]> => (await rowsIn(path, settings)).map((row) => ({ ...row, label: plain(row.label as string) }));
  const [texts, valTexts] = [await rowsOf(data), valData === null ? undefined : await rowsOf(valData)];
  const labels = names === undefined ? labelsIn(texts, settings) : names.map((_, i) => String(i));
  if (labels.length < 2) throw new UsageError(`--data must have two different labels or more, got ${labels.join()} alone in ${data}`);
  if (numClasses !== undefined && labels.length !== numClasses) throw new UsageError(`--task ${task} must have ${numClasses} different labels, got ${labels.length} in ${data}: ${shortList(labels)}`);
  const known = new Map(labels.map((label, id) => [label, id]));
  names?.forEach((name, id) => known.set(name, id)); // files may say either
  const withIds = (rows: readonly LabelledText[], path: string, flag: string): ClassExample[] => rows.map((row) => {
    const id = known.get(row.label as string);
    if (id !== undefined) return { ...row, id };
    throw new UsageError(`${flag} must have labels among ${shortList(labels)}, got ${JSON.stringify(row.label?.slice(0, 40))} on line ${row.line} of ${path}`);
  });
  return {
    ...split(withIds(texts, data, '--data'), valTexts && withIds(valTexts, valData as string, '--val-data'), settings),
    classes: names ?? labels, notes: notesOf(settings, texts, valTexts),
  };
}

const shortList = (labels: readonly string[]): string => (labels.length <= 12 ? labels.join(', ') : `${labels.slice(0, 12).join(', ')}, …`);

/** Whole numbers that were written as 1.0 are 1, as tables say where some are missing. */
const plain = (label: string): string => label.replace(/^(-?\d+)\.0+$/, '$1');

/** As many classes as stay believable where most of them have one example alone; a column of ids has as many as rows. */
const MOST_RARE_CLASSES = 20;

function labelsIn(texts: readonly LabelledText[], { data: path, labelColumn }: Pick<FinetuneSettings, 'data' | 'labelColumn'>): string[] {
  const labels = [...new Set(texts.map(({ label }) => label as string))];
  if (labels.length > MOST_RARE_CLASSES && labels.length > texts.length / 2) {
    throw new UsageError(`${labelColumn === null ? 'the labels' : '--label-column'} must be classes that several rows share, got ${labels.length} different values in the ${texts.length} rows of ${labelColumn === null ? '' : `the column ${labelColumn} of `}${path}; --label-column names another column`);
  }
  const areNumbers = labels.every((label) => label !== '' && Number.isFinite(Number(label)));
  const odd = areNumbers ? texts.find(({ label }) => !Number.isInteger(Number(label))) : undefined;
  if (odd !== undefined) throw new UsageError(`--data must have classes as labels, got ${odd.label} on line ${odd.line} of ${path}; --task regression learns numbers`);
  return labels.sort((a, b) => (areNumbers ? Number(a) - Number(b) : a < b ? -1 : 1));
}
