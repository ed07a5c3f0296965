import { join } from 'node:path';
import { readJsonFile } from '@evenkeel/checkpoint';
import { ConfigError, type Params } from '@evenkeel/core-tensor';
import type { StackTechniques } from '@evenkeel/layers';
import { bertConfig, loadBert, saveBert, type BertConfig, type BertFamily, type BertHeadKind, type HeadedParams } from '@evenkeel/models-bert';
import { isCount, isObject, isOneOf, type Fields } from '../fields.ts';
import { labelNames, loadOwn, saveOwn, TECHNIQUE_TESTS, type OwnLayout } from '../ownLayout.ts';
import { ARCHS, PLACEMENTS } from '../techniqueNames.ts';
import { withFreshParams } from '../withFreshParams.ts';
import { bertOf, CLASSIC, headed, headOf, type AnyBert, type BertTechniques, type HeadSays } from './bertModel.ts';

const OWN: OwnLayout<BertConfig, BertTechniques, AnyBert> = {
  modelType: 'evenkeel-bert', example: bertConfig({ vocabSize: 1, depth: 1, dim: 1, numHeads: 1 }),
  techniques: { ...TECHNIQUE_TESTS, placement: isOneOf(['own', ...PLACEMENTS]), arch: isOneOf(ARCHS) },
  extras: { head: isObject, id2label: isObject, label2id: isObject }, checked: bertConfig, make: (config, techniques, { head }) => headed(bertOf(config, techniques), head as HeadSays),
};

/** SavedBert — an encoder with a head, its parameters, and whose layout it is in. */
export type SavedBert = {
  readonly model: AnyBert;
  readonly params: Params & HeadedParams;
  readonly techniques: BertTechniques;
  readonly family: BertFamily;
  /** Names of the classes, where the head has any. */
  readonly classes?: readonly string[];
};

/**
 * saveBertModel — writes `config.json` and `model.safetensors`: as `transformers` loads them where BERT's layout says what the model computes,
 * and otherwise under our own names as `model_type: "evenkeel-bert"`.
 */
export async function saveBertModel(directory: string, { model, params, techniques, family, classes }: SavedBert): Promise<void> {
  if (model.encoder.departures.length === 0) return saveBert(directory, model, params, { family, ...(classes && { classes }) });
  const head: HeadSays = { kind: model.kind, ...(classes && { numClasses: classes.length }) };
  return saveOwn(directory, OWN, { config: model.config, techniques, params, extras: { head, ...(classes && labelNames(classes)) } });
}

/** widthOf — the channels of the encoder in a directory, before it is loaded; undefined where its `config.json` does not say. */
export async function widthOf(directory: string): Promise<number | undefined> {
  const json = await readJsonFile(join(directory, 'config.json')) as Fields;
  const width = json['model_type'] === OWN.modelType ? json['dim'] : json['hidden_size'];
  return isCount(width) ? width as number : undefined;
}

export type LoadBertModelOptions = {
  /** What the model is for; default what the checkpoint is for. Layers that it does not have start anew. */
  readonly head?: HeadSays;
  /** What its classes must be called; a head for others starts anew. */
  readonly classes?: readonly string[];
  readonly linear?: StackTechniques['linear'];
  readonly dropout?: number;
  readonly seed?: number;
};

/**
 * loadBertModel — what `saveBertModel` or `transformers` wrote; the parameters are the caller's.
 *
 * @returns  also whether the head is that of the file.
 * @throws ConfigError  if a file is missing or damaged, or `config.json` says what this release does not know; names the tensor that does not fit.
 */
export async function loadBertModel(directory: string, options: LoadBertModelOptions = {}): Promise<SavedBert & { readonly isHeadKept: boolean }> {
  const path = join(directory, 'config.json');
  const json = await readJsonFile(path);
  const own = isObject(json) && json['model_type'] === OWN.modelType;
  const says = own ? json['head'] as HeadSays : saidHead(json);
  const head = options.head ?? says;
  if (head === undefined) throw new ConfigError(`loadModel: ${path} must say what the model is for, in architectures, got an encoder without a head`);
  const found = says && classesOf(json as Fields, says);
  const isHeadKept = says?.kind === head.kind && (options.classes === undefined || sameNames(found ?? [], options.classes));
  const classes = isHeadKept ? found : undefined;
  if (own) return { ...await loadOurs(directory, json, { head, isHeadKept }, options), isHeadKept, ...(classes && { classes }) };
  const { linear, dropout, seed } = options;
  const isOther = says?.kind === head.kind && !isHeadKept; // the head of the file is loaded, which may have another number of classes, and replaced
  const { model, params, family } = await loadBert(directory, headOf(isOther ? says : head), {
    techniques: { ...(linear && { linear }), ...(dropout !== undefined && { dropout }) }, ...(seed !== undefined && { seed }),
  });
  const saved = { family, techniques: CLASSIC, isHeadKept, ...(classes && { classes }) };
  if (!isOther) return { model, params, ...saved };
  const other = headed(model.encoder, head);
  return { model: other, params: withFreshParams<Params & HeadedParams>(params, other, { seed: seed ?? 0, isKept: (name) => !isClassifier(name) }), ...saved };
}

/** The layer whose rows are the classes; what stands before it in a head is kept. */
const isClassifier = (path: string): boolean => path.startsWith('head.classifier.');

/** Whether classes are called the same, in the same order; `LABEL_1` is what Hugging Face calls the class 1. */
const sameNames = (found: readonly string[], wanted: readonly string[]): boolean => found.length === wanted.length
  && found.every((name, i) => name.toLowerCase() === (wanted[i] as string).toLowerCase() || name === `LABEL_${wanted[i]}`);

/** Ours: the encoder as it was saved, and what of the head is the same. */
async function loadOurs(directory: string, json: unknown, { head, isHeadKept }: { head: HeadSays; isHeadKept: boolean }, { linear, dropout, seed = 0 }: LoadBertModelOptions): Promise<SavedBert> {
  const saved = await loadOwn(directory, json, OWN);
  const config = { ...saved.model.config, ...(dropout !== undefined && { dropout }) };
  const model = headed(bertOf(config, saved.techniques, { ...(linear && { linear }) }), head);
  const isKept = (path: string): boolean => !path.startsWith('head.') || (saved.model.kind === head.kind && (isHeadKept || !isClassifier(path)));
  return { model, params: withFreshParams<Params & HeadedParams>(saved.params, model, { seed, isKept }), techniques: saved.techniques, family: 'bert' };
}

const HEADS: Readonly<Record<string, BertHeadKind>> = {
  ForMaskedLM: 'maskedLm', ForPreTraining: 'maskedLm', ForSequenceClassification: 'classification', ForTokenClassification: 'tokenClassification', ForQuestionAnswering: 'span',
};

/** What a `config.json` of Hugging Face says that the model is for. */
function saidHead(json: unknown): HeadSays | undefined {
  const { architectures, id2label, num_labels: count } = json as { architectures?: unknown; id2label?: object; num_labels?: number };
  const kind = Array.isArray(architectures) ? HEADS[/For\w+$/.exec(String(architectures[0]))?.[0] ?? ''] : undefined;
  const numClasses = id2label === undefined ? count ?? 2 : Object.keys(id2label).length;
  return kind && (kind === 'classification' && numClasses === 1 ? { kind: 'regression' } : { kind, numClasses });
}

function classesOf({ id2label }: Fields, { kind, numClasses = 2 }: HeadSays): string[] | undefined {
  if (kind !== 'classification' && kind !== 'tokenClassification') return undefined;
  const names = isObject(id2label) ? id2label : {};
  return Array.from({ length: numClasses }, (_, i) => String(names[String(i)] ?? `LABEL_${i}`));
}
