import { dispose, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import type { ApplyOptions } from '@evenkeel/core-tensor';
import type { Tokenizer } from '@evenkeel/data';
import type { PageSection } from '@evenkeel/training';
import { maskedBatch, type HeadedParams, type MaskedBatchOptions } from '@evenkeel/models-bert';
import { classified, judged, worstFirst } from '../classified.ts';
import { percent, printable } from '../format.ts';
import type { AnyBert } from './bertModel.ts';
import type { SequenceData } from './sequences.ts';

/** Sequences and masked tokens that a page shows, and how much of the text around one. */
const [SEQUENCES, SHOWN, AROUND] = [8, 16, 8] as const;

/** filledSection — masked tokens of the validation text in their surroundings, and what a model says that they are; mistakes first. */
export async function filledSection(model: AnyBert, { params, state }: { params: HeadedParams; state: ApplyOptions['state'] }, { val, tokenizer, specials }: SequenceData, options: MaskedBatchOptions): Promise<PageSection[]> {
  const sequences = [...val].sort((a, b) => b.length - a.length).slice(0, SEQUENCES);
  const { batch, rows, labels } = maskedBatch(sequences, options);
  const [ids, logits] = [await batch.ids.data(), model.apply({ ids: batch.ids, mask: batch.mask }, params, { ...(state && { state }) }) as Tensor];
  const [width, vocab] = [batch.ids.shape[1] as number, logits.shape.at(-1) as number];
  async function* chosen(): AsyncGenerator<Tensor> {
    const values = await logits.data();
    yield tensor2d(Float32Array.from([...rows].flatMap((row) => [...values.subarray(row * vocab, (row + 1) * vocab)])), [rows.length, vocab]);
  }
  const found = judged(await classified(chosen()), [...rows].map((row) => labels[row] as number));
  dispose([batch, logits] as never);
  const tokenOf = (id: number): string => (id < tokenizer.vocabSize && printable(tokenizer.decode([id])).trim()) || `#${id}`; // a padded vocabulary has more
  const around = (row: number): string => {
    const [start, end] = [row - (row % width), row - (row % width) + width];
    const part = (from: number, to: number): string => tokenizer.decode([...ids.slice(Math.max(from, start), Math.min(to, end))].filter((id) => ![specials.padId, specials.clsId, specials.sepId].includes(id)));
    const [before, after] = [part(row - AROUND, row), part(row + 1, row + 1 + AROUND)].map((each) => each.trim().replace(/^##/, '')) as [string, string]; // a first piece stands with its mark
    const label = labels[row] as number;
    const gap = (at: number, pair: readonly number[]): string => (at >= start && at < end && isOneWord(tokenizer, pair) ? '' : ' ');
    return printable(`… ${before}${gap(row - 1, [ids[row - 1] as number, label])}→[MASK]←${gap(row + 1, [label, ids[row + 1] as number])}${after} …`);
  };
  const table = worstFirst(found).slice(0, SHOWN).map((i) => {
    const [said, label] = [found.predicted[i] as number, found.labels[i] as number];
    return [around(rows[i] as number), tokenOf(label), { text: tokenOf(said), tone: said === label ? 'good' : 'bad' }, percent(found.confidence[i] as number)] as const;
  });
  return [{ heading: 'Predictions', table: { columns: ['text', 'true', 'predicted', 'probability'], rows: table }, note: `Masked tokens of the ${sequences.length} longest validation sequences; mistakes come first, the surest ones in front. The mask that is meant stands between arrows.` }];
}

/** Whether two tokens are parts of one word. */
const isOneWord = (tokenizer: Pick<Tokenizer, 'decode'>, [first, second]: readonly number[]): boolean => !/\s/.test(tokenizer.decode([first as number, second as number]).trim());
