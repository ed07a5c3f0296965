import { checkInteger, checkRange, ConfigError, foldSeed, randomBits, uniformValues, type Seed } from '@evenkeel/core-tensor';

export type MaskTokensOptions = {
  /** Share of the tokens to be predicted; default 0.15 (BERT); 0.3 in MosaicBERT. Compare losses at one share. */
  prob?: number;
  maskId: number;
  /** Random tokens are drawn from ids below it. */
  vocabSize: number;
  /** Ids that are never chosen: padding, `[CLS]`, `[SEP]`. */
  specials: readonly number[];
  /** Of this batch: derive it from the step, `foldSeed(seed, step)`. */
  seed: Seed;
};

/** MaskedTokens — what the model is given; what it is to say, −100 where nothing was chosen; and which positions were. */
export type MaskedTokens = { readonly ids: Int32Array; readonly labels: Int32Array; readonly rows: Int32Array };

/** IGNORED — the label of a position that does not count. */
export const IGNORED = -100;

/**
 * maskTokens — chooses tokens for masked language modelling: each with probability `prob`; of these 80 % become `[MASK]`, 10 % a random token,
 * and 10 % stay as they are.
 *
 * What is drawn for position i depends on `seed` and i alone.
 *
 * @param ids  of a batch, in any layout.
 * @returns    `ids` and `labels` of the same length; `rows`, the chosen positions. There may be none.
 * @throws ConfigError  if `prob` is not in [0, 1] or an id is out of range.
 *
 * Source: Devlin et al. 2018, arXiv:1810.04805, appendix A.1.
 */
export function maskTokens(ids: ArrayLike<number>, { prob = 0.15, maskId, vocabSize, specials, seed }: MaskTokensOptions): MaskedTokens {
  checkRange('maskTokens', 'prob', prob, 0, 1);
  checkInteger('maskTokens', 'vocabSize', vocabSize);
  checkInteger('maskTokens', 'maskId', maskId, 0);
  if (maskId >= vocabSize) throw new ConfigError(`maskTokens: maskId must be below vocabSize, got ${maskId} and ${vocabSize}`);
  const special = new Set(specials);
  const chosen = uniformValues(ids.length, foldSeed(seed, 'chosen'));
  const fate = uniformValues(ids.length, foldSeed(seed, 'fate'));
  const random = randomBits(foldSeed(seed, 'token'), ids.length);
  const masked = Int32Array.from(ids);
  const labels = new Int32Array(ids.length).fill(IGNORED);
  const rows: number[] = [];
  masked.forEach((id, i) => {
    if (special.has(id) || (chosen[i] as number) >= prob) return;
    labels[i] = id;
    rows.push(i);
    if ((fate[i] as number) < 0.8) masked[i] = maskId;
    else if ((fate[i] as number) < 0.9) masked[i] = (random[i] as number) % vocabSize;
  });
  return { ids: masked, labels, rows: Int32Array.from(rows) };
}
