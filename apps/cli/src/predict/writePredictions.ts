import { extname } from 'node:path';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import { UsageError } from '../errors.ts';
import type { Prediction } from './prediction.ts';

/** How each ending is written. */
const FORMS: Readonly<Record<string, (predictions: readonly Prediction[]) => string>> = {
  '.jsonl': (predictions) => predictions.map((each) => `${JSON.stringify(each)}\n`).join(''),
  '.json': (predictions) => `${JSON.stringify(predictions, null, 1)}\n`,
  '.csv': (predictions) => table(predictions, ',', quoted),
  '.tsv': (predictions) => table(predictions, '\t', (text) => text.replace(/\s+/g, ' ')),
};

/** checkOut — throws UsageError unless predictions can be written in the form that a file's ending says. */
export function checkOut(path: string): void {
  if (FORMS[extname(path).toLowerCase()] === undefined) throw new UsageError(`--out must end in ${Object.keys(FORMS).join(', ')}, got ${path}`);
}

/** writePredictions — one row per prediction, by the file's ending; CSV and TSV hold input, label and probability alone. */
export async function writePredictions(path: string, predictions: readonly Prediction[]): Promise<void> {
  await atomicWriteFile(path, (FORMS[extname(path).toLowerCase()] as (predictions: readonly Prediction[]) => string)(predictions));
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function table(predictions: readonly Prediction[], separator: string, written: (text: string) => string): string {
  const rows = predictions.map(({ input, label, probability }) => [input, label, probability === undefined ? '' : probability.toFixed(6)]);
  return [['input', 'label', 'probability'], ...rows].map((fields) => `${fields.map(written).join(separator)}\n`).join('');
}
