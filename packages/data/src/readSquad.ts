import { ConfigError } from '@evenkeel/core-tensor';
import { describeValue, isRecord } from './checkTokenizerJson.ts';
import { checkIsFile, nodeModules, onFile } from './nodeFs.ts';
import { quoteText } from './textErrors.ts';

/** SquadAnswer — a part of the context: `context.slice(start, start + text.length) === text`, in UTF-16 code units as JavaScript counts. */
export type SquadAnswer = { readonly text: string; readonly start: number };

/** SquadExample — a question about a context, and its answers: several if several people answered it, none if the context does not say. */
export type SquadExample = { readonly id: string; readonly title: string; readonly question: string; readonly context: string; readonly answers: readonly SquadAnswer[] };

/**
 * readSquad — questions of a file in the format of SQuAD, version 1.1 or 2.0: `data[].paragraphs[]` with a `context` and `qas[]`.
 *
 * Files count code points in `answer_start`; examples have code units.
 *
 * @param source  a path, or the parsed content.
 * @param unlabelled  leave answers out, which the file need not have then. Default false.
 * @throws ConfigError  naming the file and the place in it: no such fields, or an answer that does not stand where it says.
 *
 * Source: Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822.
 */
export async function readSquad(source: string | object, { unlabelled = false }: { unlabelled?: boolean } = {}): Promise<SquadExample[]> {
  const root = { at: `readSquad: ${typeof source === 'string' ? source : 'the source'}`, value: typeof source === 'string' ? readJson(source) : source };
  return items(root, 'data').flatMap((article) => items(article, 'paragraphs').flatMap((paragraph) => {
    const context = text(paragraph, 'context');
    return items(paragraph, 'qas').map((qa) => ({
      id: text(qa, 'id'), title: optionalText(article, 'title'), question: text(qa, 'question'), context,
      answers: unlabelled ? [] : items(qa, 'answers').map((answer) => answerIn(context, answer)),
    }));
  }));
}

/** Place — a JSON value, and where it stands. */
type Place = { readonly at: string; readonly value: unknown };

function readJson(path: string): unknown {
  const { fs } = nodeModules('readSquad');
  checkIsFile('readSquad', path);
  return onFile('readSquad', path, 'a JSON file', () => JSON.parse(fs.readFileSync(path, 'utf8').replace(/^\uFEFF/, '')) as unknown);
}

/** The elements of a list that an object has. */
function items(place: Place, name: string): Place[] {
  const list = field(place, name, 'a list');
  if (!Array.isArray(list)) throw mustBe(place, name, 'a list', list);
  return list.map((value: unknown, i) => ({ at: `${place.at}: ${name}[${i}]`, value }));
}

function text(place: Place, name: string): string {
  const value = field(place, name, 'text');
  if (typeof value !== 'string') throw mustBe(place, name, 'text', value);
  return value;
}

const optionalText = (place: Place, name: string): string => (isRecord(place.value) && name in place.value ? text(place, name) : '');

function field({ at, value }: Place, name: string, expected: string): unknown {
  if (!isRecord(value)) throw new ConfigError(`${at} must be an object with ${name}, got ${describeValue(value)}`);
  if (!(name in value)) throw new ConfigError(`${at} must have ${name}, ${expected}, got ${quoteText(Object.keys(value).join(', '))}`);
  return value[name];
}

const mustBe = ({ at }: Place, name: string, expected: string, value: unknown): ConfigError => new ConfigError(`${at}: ${name} must be ${expected}, got ${describeValue(value)}`);

function answerIn(context: string, place: Place): SquadAnswer {
  const answer = text(place, 'text');
  const codePoints = field(place, 'answer_start', 'a position');
  if (!Number.isInteger(codePoints) || (codePoints as number) < 0) throw mustBe(place, 'answer_start', 'a position in the context', codePoints);
  const start = codeUnits(context, codePoints as number);
  const found = context.slice(start, start + answer.length);
  if (found !== answer) throw new ConfigError(`${place.at}: text must stand at ${codePoints as number} of the context, ${quoteText(answer)}, got ${quoteText(found)}`);
  return { text: answer, start };
}

/** How many code units so many code points have. */
function codeUnits(context: string, codePoints: number): number {
  let units = 0;
  for (let i = 0; i < codePoints && units < context.length; i++) units += (context.codePointAt(units) as number) > 0xffff ? 2 : 1;
  return units;
}
