import { escapeHtml } from './escapeHtml.ts';
import type { Tone } from './tone.ts';

/** Matrix — counts of pairs of classes, such as a confusion matrix: rows are the true classes, columns the predicted ones. */
export type Matrix = { readonly classes: readonly string[]; readonly counts: readonly (readonly number[])[] };

/** Picture — an image with a line below it; `source` is a data URI, so that the page needs no network. */
export type Picture = { readonly source: string; readonly caption: string; readonly tone?: Tone };

/** Classes beyond which cells have no room for numbers: they are then only shaded. */
const NUMBERED = 20;

/** matrixOf — a confusion matrix as a table: cells shaded by their share of the row, right ones in another colour than wrong ones, numbers within. */
export function matrixOf({ classes, counts }: Matrix): string {
  const isNumbered = classes.length <= NUMBERED;
  const cellOf = (row: readonly number[], i: number, j: number): string => {
    const [count, sum] = [row[j] as number, row.reduce((total, each) => total + each, 0)];
    const share = sum === 0 ? 0 : count / sum;
    const label = `${classes[i]} predicted as ${classes[j]}: ${count} of ${sum}`;
    return `<td class="${i === j ? 'right' : 'wrong'}${share > 0.6 ? ' strong' : ''}" style="--share:${share.toFixed(3)}" title="${escapeHtml(label)}">${isNumbered && count > 0 ? count : ''}</td>`;
  };
  const recall = (row: readonly number[], i: number): string => {
    const sum = row.reduce((total, each) => total + each, 0);
    return sum === 0 ? '–' : `${((100 * (row[i] as number)) / sum).toFixed(1)} %`;
  };
  const head = classes.map((name) => `<th scope="col"><span>${escapeHtml(name)}</span></th>`).join('');
  const rows = counts.map((row, i) => `<tr><th scope="row">${escapeHtml(classes[i] as string)}</th>${classes.map((_, j) => cellOf(row, i, j)).join('')}<td class="recall">${recall(row, i)}</td></tr>`);
  return `<table class="matrix${isNumbered ? '' : ' dense'}">\n<thead><tr><th class="axes">true ↓ · predicted →</th>${head}<th scope="col" class="recall">right</th></tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table>`;
}

/** pictureOf — an image and what is said of it. */
export const pictureOf = ({ source, caption, tone = 'plain' }: Picture): string =>
  `<figure class="${tone}"><img src="${escapeHtml(source)}" alt=""><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
