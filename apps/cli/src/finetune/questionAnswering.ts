import { dispose } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import { oneEpochSampler, type SquadExample, type Tokenizer } from '@evenkeel/data';
import { answerQuestions, answerWindows, spanBatch, type AnswerWindow } from '@evenkeel/models-bert';
import { unknownNotes } from '../bert/encoding.ts';
import { UsageError } from '../errors.ts';
import { counted, formatCount } from '../format.ts';
import { spread } from '../statistics.ts';
import type { Task } from '../task.ts';
import { keepingBest } from './bestModel.ts';
import { concludeTuning } from './concludeTuning.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { answered, answerMeasures } from './measures.ts';
import { windowsOf, withoutEmpty } from './questions.ts';
import type { Words } from './textClassification.ts';
import { longestOf } from './textClassification.ts';
import type { Split } from './textExamples.ts';
import type { TunedBert } from './tunedBert.ts';

/** Questions of an evaluation during training, and of a page. */
const [EVAL_QUESTIONS, SHOWN] = [200, 24] as const;

/**
 * withAnswers — the questions of a file that can be learned; what is left out is counted, as the field's tools do: questions without an answer
 * (SQuAD 2.0 has some, which this head cannot learn), and those of which the question or the context is empty.
 */
export function withAnswers(all: readonly SquadExample[], tokenizer: Pick<Tokenizer, 'encode'>, path: string): { readonly examples: SquadExample[]; readonly notes: string[] } {
  const answerable = all.filter(({ answers }) => answers.length > 0);
  if (answerable.length === 0) throw new UsageError(`--data must have questions with answers, got ${all.length} without in ${path}`);
  const { asked: examples, empty, notes } = withoutEmpty(answerable, tokenizer, path);
  if (examples.length === 0) throw new UsageError(`--data must have questions and contexts with words, got ${empty.length} without in ${path}`);
  const unanswered = all.length - answerable.length;
  return { examples, notes: [...(unanswered === 0 ? [] : [`${counted(unanswered, 'question')} without an answer left out in ${path}`]), ...notes] };
}

/** questionAnsweringTask — the part of a text that answers a question. */
export function questionAnsweringTask(settings: FinetuneSettings, { tuned, words, examples, notes }: { tuned: TunedBert; words: Words; examples: Split<SquadExample>; notes: readonly string[] }): Task {
  const { model, params, parts } = tuned;
  const { batchSize, seed, data } = settings;
  const { tokenizer, specials, specials: { padId } } = words;
  const options = windowsOf({ tokenizer, specials, maxLength: longestOf(settings, tuned), hasSegments: tuned.hasSegments });
  const segmented = (windows: AnswerWindow[]): AnswerWindow[] => (tuned.hasSegments ? windows : windows.map((each) => ({ ...each, tokenTypes: new Int32Array(each.ids.length) })));
  const windowsIn = (rows: readonly SquadExample[]): AnswerWindow[] => rows.flatMap(({ question, context, answers: [answer] }) => segmented(answerWindows({ question, context, ...(answer && { answer }) }, options))).filter(({ start }) => start >= 0);
  const [windows, valWindows] = [windowsIn(examples.train), windowsIn(examples.val)];
  if (windows.length < batchSize) throw new UsageError(`--batch-size must be at most the ${windows.length} windows with answers in ${data}, got ${batchSize}`);
  const order = oneEpochSampler({ count: windows.length, batchSize, seed: foldSeed(seed, 'data'), allowRepeat: true });
  const measure = async (most: number) => {
    const chosen = spread(examples.val.length, most).map((i) => examples.val[i] as SquadExample);
    const found = await answerQuestions(model as never, params, chosen, { ...options, padId, batchSize: 2 * batchSize });
    const judged = chosen.map((example, i) => ({ example, ...answered(found[i]?.text ?? '', example.answers.map(({ text }) => text)) }));
    return { judged, values: answerMeasures(judged), loss: await lossOf(valWindows, most) };
  };
  const lossOf = async (all: readonly AnswerWindow[], most: number): Promise<number> => {
    const chosen = spread(all.length, most).map((i) => all[i] as AnswerWindow);
    let sum = 0;
    for (let start = 0; start < chosen.length; start += batchSize) {
      const part = chosen.slice(start, start + batchSize);
      const batch = spanBatch(part, { padId });
      const loss = model.loss(batch, params);
      sum += part.length * ((await loss.data())[0] as number);
      dispose([loss, batch] as never);
    }
    return sum / chosen.length;
  };
  const save = (directory: string): Promise<void> => tuned.save(directory, { tokenizer });
  const hasVal = valWindows.length > 0;
  return {
    ...parts, save,
    batches: (step) => spanBatch([...order.indices(step)].map((i) => windows[i] as AnswerWindow), { padId }),
    ...(hasVal && {
      evaluate: async () => {
        const { loss, values } = await measure(EVAL_QUESTIONS);
        return { loss, values };
      },
      evaluated: keepingBest('f1', save),
    }),
    perStep: { count: batchSize, unit: 'sequences' },
    facts: {},
    about: [
      ['data', data], ['', `${formatCount(examples.train.length)} questions in ${formatCount(windows.length)} windows of at most ${options.maxLength} tokens to train, ${formatCount(examples.val.length)} questions to validate`],
      ...[...notes, ...unknownNotes([...windows, ...valWindows], words)].map((note) => ['', note] as const), ...tuned.about,
    ],
    conclude: async (io, directory) => {
      if (!hasVal) return concludeTuning(directory, {});
      io.line(`answering ${counted(examples.val.length, 'question')} …`);
      const { loss, values, judged } = await measure(Infinity);
      const rows = [...judged].sort((a, b) => a.f1 - b.f1).slice(0, SHOWN).map(({ example, said, references, f1, exact }) =>
        [example.question, references[0] as string, { text: said, tone: exact === 1 ? 'good' : f1 === 0 ? 'bad' : 'warning' }, f1] as const);
      return concludeTuning(directory, {
        loss, values, of: counted(examples.val.length, 'question'),
        sections: [{ heading: 'Predictions', table: { columns: ['question', 'answer', 'predicted', 'F1'], rows }, note: 'The worst answers come first.' }],
      });
    },
  };
}
