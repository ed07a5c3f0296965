import type { PageSection, Picture } from '@evenkeel/training';
import { confusionMatrix } from '@evenkeel/models-bert';
import { worstFirst, type Judged } from './classified.ts';

/** Predictions that a page shows. */
const SHOWN = 24;
/** Classes of a matrix that is still readable. */
const MOST_CLASSES = 60;
/** Letters of a name for which a column has room. */
const LONG_NAME = 12;

/** confusionSection — which classes are taken for which; nothing where they are too many. */
export function confusionSection({ predicted, labels }: Judged, classes: readonly string[]): PageSection[] {
  if (classes.length > MOST_CLASSES) return [];
  const order = classes.map((_, i) => i).sort((i, j) => (classes[i] as string).localeCompare(classes[j] as string, 'en', { numeric: true }));
  const counts = confusionMatrix(predicted, labels, classes.length);
  const prefix = commonPrefix(classes);
  return [{
    heading: 'Confusion matrix',
    matrix: { classes: order.map((i) => (classes[i] as string).slice(prefix.length)), counts: order.map((i) => order.map((j) => counts[i]?.[j] as number)) },
    note: `Rows are the true classes of the ${labels.length.toLocaleString('en')} validation examples, columns what the model says. Blue is right, orange is wrong, and a cell is darker the more of its row it holds. On the right the share of the row that is right.${prefix === '' ? '' : ` The names stand without “${prefix}”, with which all begin.`}`,
  }];
}

/** With what long names of classes all begin, up to a mark between words. */
function commonPrefix(classes: readonly string[]): string {
  const [first = '', ...others] = classes;
  if (Math.max(...classes.map((name) => name.length)) <= LONG_NAME) return '';
  const length = Array.from(first, (_, i) => i).find((i) => others.some((name) => name[i] !== first[i])) ?? 0;
  return /^.*[^\p{L}\p{N}]/u.exec(first.slice(0, length))?.[0] ?? '';
}

/** What a page says of a prediction. */
const verdict = (judged: Judged, classes: readonly string[], i: number) => {
  const [said, label] = [judged.predicted[i], judged.labels[i]].map((id) => classes[id as number] ?? String(id)) as [string, string];
  return { said, label, isRight: said === label, share: `${Math.round(100 * (judged.confidence[i] as number))} %` };
};

/** pictureSection — images with what the model says of them, mistakes first. */
export async function pictureSection(judged: Judged, classes: readonly string[], pictureOf: (index: number) => Promise<string>): Promise<PageSection[]> {
  const pictures = await Promise.all(shownOf(judged).map(async (i): Promise<Picture> => {
    const { said, label, isRight, share } = verdict(judged, classes, i);
    return { source: await pictureOf(i), caption: isRight ? `${said}, ${share}` : `${said}, ${share}: it is ${label}`, tone: isRight ? 'good' : 'bad' };
  }));
  return [{ heading: 'Predictions', pictures, note: noteOf(judged) }];
}

/** rowSection — texts with what the model says of them, mistakes first. */
export function rowSection(judged: Judged, classes: readonly string[], textOf: (index: number) => string): PageSection[] {
  const rows = shownOf(judged).map((i) => {
    const { said, label, isRight, share } = verdict(judged, classes, i);
    return [textOf(i), label, { text: said, tone: isRight ? 'good' : 'bad' }, share] as const;
  });
  return [{ heading: 'Predictions', table: { columns: ['text', 'true', 'predicted', 'probability'], rows }, note: noteOf(judged) }];
}

/** Mistakes, and at least a third that is right. */
function shownOf(judged: Judged): number[] {
  const order = worstFirst(judged);
  const isRight = (i: number): boolean => judged.predicted[i] === judged.labels[i];
  const [wrong, right] = [order.filter((i) => !isRight(i)), order.filter(isRight)];
  const shownWrong = wrong.slice(0, Math.max((2 * SHOWN) / 3, SHOWN - right.length));
  return [...shownWrong, ...right.slice(0, SHOWN - shownWrong.length)];
}

function noteOf({ predicted, labels }: Judged): string {
  const wrong = Array.from(labels, (label, i) => Number(label !== predicted[i])).reduce((sum, each) => sum + each, 0);
  return `Of ${labels.length.toLocaleString('en')} validation examples ${wrong.toLocaleString('en')} are wrong. Mistakes come first, the surest ones in front.`;
}
